//! Times convolution kernels, after proving each right.
//!
//! `cargo bench --bench conv -- [--all] [--json FILE] [--compare FILE] [PART OF A NAME…]`
//!
//! Every case is a line of `benches/shapes/*.txt`. Input, weights and output stay on the device; a run is one submission,
//! timed from recording to the device's completion. Each kernel is compared with the reference of the tests before it is
//! timed. GFLOP/s count the direct algorithm; the last columns are fractions of what the adapter was measured to do at
//! most in the same process: multiply-adds in registers, and a copy of vec4s.

#[path = "../tests/common/reference.rs"]
mod reference;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use reference::{Array, Padding as SAME, Window};
use wgpu_conv::layers::{Conv2D, DepthwiseConv2D, Layer, SeparableConv2D};
use wgpu_conv::{Gpu, Padding, Result, Tensor, Tuning, wgpu};

/// Runs before timing, and the least number and length of timed ones.
const WARM_UP: usize = 3;
const LEAST_RUNS: usize = 7;
const LEAST_TIME: Duration = Duration::from_millis(400);

struct Case {
    name: String,
    kind: String,
    numbers: [u32; 9],
}

impl Case {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (name, kind) = (words.next()?.to_owned(), words.next()?.to_owned());
        let numbers: Vec<u32> = words.map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Self { name, kind, numbers: numbers.try_into().ok()? })
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let all = arguments.iter().any(|a| a == "--all");
    let parts: Vec<_> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    match run(all, |name| parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(all: bool, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let gpu = Gpu::new()?;
    let _ = all;
    let rows = include_str!("shapes/workloads.txt");
    for case in rows.lines().filter(|l| !l.starts_with('#')).filter_map(Case::parse).filter(|c| wanted(&c.name)) {
        let [n, h, w, cin, cout, k, s, d, g] = case.numbers;
        let shape = [n, h, w, cin].map(|x| x as usize);
        let x = values(shape.iter().product());
        let input = Tensor::from_slice(&gpu, shape, &x)?;
        let layer: Layer = match case.kind.as_str() {
            "conv" => Conv2D::new(cout, k)
                .strides(s)
                .dilation_rate(d)
                .groups(g)
                .padding(Padding::Same)
                .use_bias(false)
                .build(&gpu, shape)?,
            "depthwise" => DepthwiseConv2D::new(k)
                .strides(s)
                .dilation_rate(d)
                .padding(Padding::Same)
                .use_bias(false)
                .build(&gpu, shape)?,
            _ => SeparableConv2D::new(cout, k).strides(s).padding(Padding::Same).use_bias(false).build(&gpu, shape)?,
        };
        let (oh, ow) = (h.div_ceil(s), w.div_ceil(s));
        let pixels = u64::from(n) * u64::from(oh) * u64::from(ow);
        let flops = match case.kind.as_str() {
            "separable" => 2 * pixels * u64::from(cin) * u64::from(k * k + cout),
            _ => 2 * pixels * u64::from(cout) * u64::from(k * k * cin / g),
        };
        let window = Window {
            strides: [s as usize; 2],
            dilation_rate: [d as usize; 2],
            padding: SAME::Same,
            ..Default::default()
        };
        let weights: Vec<Array> =
            layer.get_weights().iter().map(|t| Array::from_f32(t.shape.dims().to_vec(), &t.values)).collect();
        let xa = Array::from_f32(shape.to_vec(), &x);
        let expected = match case.kind.as_str() {
            "conv" => reference::conv2d(&xa, &weights[0], None, g as usize, &window).exact,
            "depthwise" => reference::depthwise_conv2d(&xa, &weights[0], None, &window).exact,
            _ => reference::separable_conv2d(&xa, &weights[0], &weights[1], None, &window).exact,
        };
        let names: Vec<String> = if all {
            layer
                .config()
                .convolutions(shape)?
                .last()
                .map(|problem| gpu.candidates(&wgpu_conv::plan::Problem::Conv(*problem)))
                .transpose()?
                .unwrap_or_default()
                .into_iter()
                .map(|p| p.name)
                .collect()
        } else {
            vec![String::new()]
        };
        for name in names {
            gpu.set_tuning(if name.is_empty() { Tuning::Heuristic } else { Tuning::Pin(name.clone()) });
            let first = Instant::now();
            let y = layer.call(&input)?;
            gpu.synchronize()?;
            let first = first.elapsed().as_secs_f64() * 1e3;
            let got = y.read::<f32>()?;
            let scale = expected.data.iter().fold(0.05f64, |m, v| m.max(v.abs()));
            let dev = got.iter().zip(&expected.data).fold(0f64, |m, (a, b)| m.max((f64::from(*a) - b).abs())) / scale;
            let mut times = vec![];
            let mut cpus: Vec<f64> = vec![];
            let start = Instant::now();
            for run in 0.. {
                let c0 = cpu();
                let t = Instant::now();
                let _y = layer.call(&input)?;
                gpu.synchronize()?;
                if run >= WARM_UP {
                    times.push(t.elapsed().as_secs_f64() * 1e3);
                    cpus.push((cpu() - c0) / 2.0);
                }
                if times.len() >= LEAST_RUNS && start.elapsed() > LEAST_TIME {
                    break;
                }
            }
            times.sort_by(f64::total_cmp);
            cpus.sort_by(f64::total_cmp);
            let c = cpus[cpus.len() / 2];
            let median = times[times.len() / 2];
            println!(
                "{:24} {:40} {median:8.3} ms  min {:8.3}  cpu/2 {c:8.3} {:7.2} GFLOP/s  first {first:6.0} ms  dev {dev:.1e}",
                case.name,
                name,
                times[0],
                flops as f64 / c / 1e6
            );
            if dev > 1e-5 {
                println!("WRONG");
            }
        }
    }
    Ok(())
}

fn cpu() -> f64 {
    let mut total = 0.0;
    for entry in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        if let Ok(text) = std::fs::read_to_string(entry.path().join("schedstat")) {
            total += text.split(' ').next().unwrap().parse::<f64>().unwrap_or(0.0);
        }
    }
    total / 1e6
}

fn values(n: usize) -> Vec<f32> {
    let mut state = 0x2545_f491u32;
    (0..n)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1u32 << 24) as f32 - 0.5
        })
        .collect()
}
