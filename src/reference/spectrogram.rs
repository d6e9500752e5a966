//! Spectrograms: frames, and each bin of each by its definition.

use super::Estimate;
use super::array::Array;
use super::convolution::{ReferencePadding, ReferenceWindow, conv};
use super::tolerance::UNIT;
use crate::layers::{MelSpectrogram, STFTSpectrogram, SpectrogramMode};
use crate::{DataFormat, Padding};

/// A function of the two parts of each bin; `bound` says what it misses for what these miss.
fn of_parts(
    [real, imaginary]: &[Estimate; 2],
    exact: impl Fn(f64, f64) -> f64,
    bound: impl Fn([f64; 2], [f64; 2]) -> f64,
) -> Estimate {
    let (mut values, mut bounds) = (real.exact.clone(), real.bound.clone());
    for at in 0..values.data.len() {
        let part = [real.exact.data[at], imaginary.exact.data[at]];
        values.data[at] = exact(part[0], part[1]);
        bounds.data[at] = bound(part, [real.bound.data[at], imaginary.bound.data[at]]);
    }
    Estimate { exact: values, bound: bounds }
}

/// The squares of both parts, added.
fn power(parts: &[Estimate; 2]) -> Estimate {
    of_parts(
        parts,
        |real, imaginary| real * real + imaginary * imaginary,
        |part, off| {
            let each = |at: usize| 2.0 * part[at].abs() * off[at] + off[at] * off[at];
            each(0) + each(1) + 4.0 * UNIT * (part[0] * part[0] + part[1] * part[1])
        },
    )
}

/// `function`, which rises, of values not below `least`; it may miss `own` by itself.
fn rising(of: &Estimate, least: f64, function: impl Fn(f64) -> f64, own: impl Fn(f64) -> f64) -> Estimate {
    let at = |x: f64| function(x.max(least));
    let exact = of.exact.map(at);
    let bound = of.exact.zip(&of.bound, |x, off| (at(x + off) - at(x)).max(at(x) - at(x - off)) + own(at(x)));
    Estimate { exact, bound }
}

pub(super) fn stft(layer: &STFTSpectrogram, input: &Array, kernels: &[Array]) -> Estimate {
    let last = layer.data_format == DataFormat::ChannelsLast;
    let signals = if last { input.transposed(&[0, 2, 1]) } else { input.clone() };
    let [batch, channels, samples] = [signals.shape[0], signals.shape[1], signals.shape[2]];
    let signals = signals.reshaped([batch * channels, samples, 1]);
    let window = ReferenceWindow {
        strides: layer.frames().window.strides.map(|step| step as usize),
        padding: if layer.padding == Padding::Same { ReferencePadding::Same } else { ReferencePadding::Valid },
        ..ReferenceWindow::<1>::default()
    };
    let part = |kernel: &Array| Estimate::from(conv(&signals, kernel, None, 1, &window));
    let parts = || [part(&kernels[0]), part(&kernels[1])];
    let least = 1e-7;
    let magnitude = || rising(&power(&parts()), least, f64::sqrt, |x| 4.0 * UNIT * x);
    let made = match layer.mode {
        SpectrogramMode::Real | SpectrogramMode::Imag => part(&kernels[0]),
        SpectrogramMode::Stft => {
            let [real, imaginary] = parts();
            let joined = |real, imaginary| Array::joined(2, &[real, imaginary]);
            Estimate { exact: joined(real.exact, imaginary.exact), bound: joined(real.bound, imaginary.bound) }
        }
        SpectrogramMode::Angle => of_parts(
            &parts(),
            |real, imaginary| imaginary.atan2(real),
            |[real, imaginary], off| {
                let away = real.hypot(imaginary) - off[0] - off[1];
                // At the cut an angle turns over, and next to 0 it says nothing.
                if away <= 0.0 || real < 0.0 && imaginary.abs() <= off[1] {
                    return 2.0 * std::f64::consts::PI;
                }
                (off[0] + off[1]) / away + 8e-6
            },
        ),
        SpectrogramMode::Psd => {
            let power = power(&parts());
            let bins = layer.bins() as usize;
            let twice = |array: &Array| {
                let each = array.data.iter().enumerate();
                let data = each.map(|(at, x)| if at % bins == 0 || at % bins + 1 == bins { *x } else { 2.0 * x });
                Array::new(array.shape.clone(), data.collect::<Vec<f64>>())
            };
            Estimate { exact: twice(&power.exact), bound: twice(&power.bound) }
        }
        SpectrogramMode::Magnitude => magnitude(),
        SpectrogramMode::Log => rising(&magnitude(), least, f64::ln, |x| 4e-6 + 4e-6 * x.abs()),
    };
    let placed = |array: &Array| {
        let [frames, bins] = [array.shape[1], array.shape[2]];
        let array = array.reshaped([batch, channels, frames, bins]);
        match (last, layer.expand_dims) {
            (true, true) => array.transposed(&[0, 2, 3, 1]),
            (true, false) => array.transposed(&[0, 2, 1, 3]).reshaped([batch, frames, channels * bins]),
            (false, true) => array,
            (false, false) => array.transposed(&[0, 1, 3, 2]).reshaped([batch, channels * bins, frames]),
        }
    };
    Estimate { exact: placed(&made.exact), bound: placed(&made.bound) }
}

pub(super) fn mel(layer: &MelSpectrogram, input: &Array) -> crate::Result<Estimate> {
    let (batch, samples) = (input.shape[0] as i64, input.shape[1] as i64);
    let (all, step) = (i64::from(layer.fft_length), i64::from(layer.sequence_stride));
    let [before, length] = layer.span();
    let bins = layer.fft_length as usize / 2 + 1;
    let frames = (samples + 2 * (all / 2) - all) / step + 1;
    let mirrored = |at: i64| {
        let at = at.abs();
        if at >= samples { 2 * (samples - 1) - at } else { at }
    };
    let mut framed = Vec::new();
    for (sample, frame) in (0..batch).flat_map(|sample| (0..frames).map(move |frame| (sample, frame))) {
        let first = frame * step - all / 2 + before as i64;
        let read = (0..length as i64).map(|at| input.data[(sample * samples + mirrored(first + at)) as usize]);
        framed.extend(read);
    }
    let frames = frames as usize;
    let framed = Array::new([batch as usize, frames, length], framed);
    let part = |imaginary: bool| -> crate::Result<Estimate> {
        let kernel = layer.kernel(imaginary)?.into_iter().map(|value| f64::from(value as f32)).collect::<Vec<f64>>();
        Ok(Estimate::from(super::dense(&framed, &Array::new([length, bins], kernel), None)))
    };
    let mut value = power(&[part(false)?, part(true)?]);
    if layer.mag_exp != 2.0 {
        let exponent = layer.mag_exp / 2.0;
        value = rising(&value, 0.0, |x| x.powf(exponent), |x| 1e-5 * x);
    }
    let bands: Vec<f64> = layer.bands().into_iter().map(f64::from).collect();
    let bands = Array::new([bins, layer.num_mel_bins as usize], bands);
    let own = Estimate::from(super::dense(&value.exact, &bands, None));
    let through = super::dense(&value.bound, &bands, None).exact;
    value = Estimate { bound: own.bound.zip(&through, |own, through| own + through), exact: own.exact };
    if layer.power_to_db {
        let least = layer.min_power;
        let zero = 10.0 * layer.ref_power.abs().max(least).log10();
        value = rising(&value, least, |x| 10.0 * x.log10() - zero, |x| 2e-5 + 4e-6 * x.abs());
        let loudest = value.exact.data.iter().fold(f64::NEG_INFINITY, |most, &x| most.max(x));
        let off = value.bound.data.iter().fold(0.0f64, |most, &x| most.max(x));
        let floor = loudest - layer.top_db;
        // What lies below the floor is as far off as the floor, which is as far off as the loudest.
        let at_loudest = value.exact.data.iter().position(|&x| x == loudest).map_or(off, |at| value.bound.data[at]);
        let bound =
            value.exact.zip(&value.bound, |x, off| if x + off < floor { at_loudest } else { off.max(at_loudest) });
        value = Estimate { exact: value.exact.map(|x| x.max(floor)), bound };
    }
    Ok(Estimate { exact: value.exact.transposed(&[0, 2, 1]), bound: value.bound.transposed(&[0, 2, 1]) })
}
