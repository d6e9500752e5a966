// Common to the shaders batch_*.wgsl, which compute batch normalisation in training.
//
// Where the values of a channel lie in [outer, channels, inner], in vectors: four neighbouring channels with
// CHANNELS_LAST, where inner is 1, else neighbours of one channel.

/// Values are summed in runs of this many, and then the runs: the error grows with both lengths, not with their product.
const RUN: u32 = 64u;

/// Where value `i` of a channel lies.
fn position(channel: u32, i: u32) -> u32 {
    if CHANNELS_LAST {
        return i * params.channels + channel;
    }
    return (i / params.inner * params.channels + channel) * params.inner + i % params.inner;
}

/// The channel of an invocation that takes a part of it, and the part: neighbours read neighbours.
fn part_of(item: u32) -> vec2<u32> {
    if CHANNELS_LAST {
        return vec2(item % params.channels, item / params.channels);
    }
    return vec2(item / params.parts, item % params.parts);
}

/// Values of a part.
fn length_of(part: u32) -> u32 {
    if CHANNELS_LAST {
        return min(params.length, params.count - part * params.length);
    }
    return (params.count - part + params.parts - 1u) / params.parts;
}

/// Which value of its channel the one numbered `i` of a part is.
fn value_of(part: u32, i: u32) -> u32 {
    return select(part + i * params.parts, part * params.length + i, CHANNELS_LAST);
}
