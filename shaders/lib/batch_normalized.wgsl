// Common to batch_apply.wgsl, batch_sums.wgsl and batch_gradient.wgsl.
//
// What is known of the channels of a vector in batch normalisation, and a value of it before the activation.

struct Channel {
    mean: Acc,
    /// 1 / √(variance + epsilon).
    inverse: Acc,
    /// The inverse times gamma.
    factor: Acc,
    beta: Acc,
}

fn channel_of(index: u32) -> Channel {
    var channel: Channel;
    channel.mean = Acc(moments[index]);
    channel.inverse = Acc(1.0) / sqrt(Acc(moments[params.channels + index]) + Acc(bitcast<f32>(params.epsilon)));
    channel.factor = channel.inverse;
    if HAS_GAMMA {
        channel.factor *= Acc(gamma[index]);
    }
    channel.beta = Acc(0.0);
    if HAS_BETA {
        channel.beta = Acc(beta[index]);
    }
    return channel;
}

fn normalized(channel: Channel, x: Acc) -> Acc {
    return (x - channel.mean) * channel.factor + channel.beta;
}
