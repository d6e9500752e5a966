//! Every candidate kernel against the reference: a table of corners, then a seeded sweep. Candidates come from the menu
//! itself, so a new kernel is tested from the moment it is on it.

pub mod common;
#[path = "common/gpu.rs"]
pub mod gpu;
#[path = "common/table.rs"]
pub mod table;

use std::cell::{LazyCell, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use common::reference::{ACTIVATIONS, Array};
use common::test_each;
use common::tolerance::{Expected, expected};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use table::{AXIS_ROWS, FORMATS, Kind, Numbers, ONE_PASS_ROWS, Operands, ROWS, Row, row, storage};
use wgpu_conv::layers::{BatchNormalization, Conv2D, Dense, DepthwiseConv2D, Layer, LayerConfig, SeparableConv2D};
use wgpu_conv::plan::{Plan, Problem, SeparableProblem};
use wgpu_conv::{Activation, DType, DataFormat, Gpu, Tensor, Tuning};

/// A handle of this test's own: the choice of plans and the caches are not shared with tests that run beside it.
fn own_gpu() -> Option<Gpu> {
    gpu::gpu().map(|shared| shared.apart())
}

/// The element types that the device stores, and a word about the one it does not.
fn dtypes(gpu: &Gpu) -> Vec<DType> {
    if gpu.caps().f16 {
        return vec![DType::F32, DType::F16];
    }
    println!("f16 is skipped: {} has none", gpu.info().name);
    vec![DType::F32]
}

/// The bits of a tensor's values, halves widened.
fn bits(tensor: &Tensor) -> Result<Vec<u32>, String> {
    Ok(tensor.read::<f32>().map_err(|error| error.to_string())?.into_iter().map(f32::to_bits).collect())
}

/// The layer of a row with the weights of `operands`, and its input.
fn build(
    gpu: &Gpu,
    row: &Row,
    operands: &Operands,
    data_format: DataFormat,
    dtype: DType,
) -> wgpu_conv::Result<(Layer, Tensor)> {
    let shape = row.input_shape(data_format);
    let layer = row.layer(data_format, dtype).build(gpu, shape)?;
    layer.set_weights(&operands.host_weights())?;
    let input = match data_format {
        DataFormat::ChannelsLast => operands.input.clone(),
        DataFormat::ChannelsFirst => operands.input.to_channels_first(),
    };
    let input = match dtype {
        DType::F32 => Tensor::from_slice(gpu, shape, &input.to_f32())?,
        DType::F16 => Tensor::from_slice(gpu, shape, &input.to_f16())?,
    };
    Ok((layer, input))
}

/// All candidates of a layer's convolutions, one of each name.
fn plans(gpu: &Gpu, layer: &Layer, input: &Tensor) -> wgpu_conv::Result<Vec<Plan>> {
    let mut plans: Vec<Plan> = Vec::new();
    for problem in layer.config().convolutions(input.shape())? {
        for plan in gpu.candidates(&Problem::Conv(problem))? {
            if plans.iter().all(|known| known.name() != plan.name()) {
                plans.push(plan);
            }
        }
    }
    Ok(plans)
}

/// All candidates that take a layer's two convolutions in one pass.
fn one_pass_plans(gpu: &Gpu, layer: &Layer, input: &Tensor) -> wgpu_conv::Result<Vec<Plan>> {
    let convolutions = layer.config().convolutions(input.shape())?;
    let [depthwise, pointwise] = convolutions[..] else { return Ok(Vec::new()) };
    let Some(problem) = SeparableProblem::new(depthwise, pointwise) else { return Ok(Vec::new()) };
    gpu.candidates(&Problem::Separable(problem))
}

/// Candidates of one family that are tried for one layer.
const EACH: usize = 1;

/// The candidates of a layer to be tried: the first of the menu, and of every family those that were tried least, since
/// compiling is most of the work. All with `EVERY_CANDIDATE=1`.
fn picked<'a>(plans: &'a [Plan], seen: &Seen) -> Vec<&'a Plan> {
    if std::env::var_os("EVERY_CANDIDATE").is_some_and(|value| value == "1") {
        return plans.iter().collect();
    }
    let mut families: BTreeMap<&str, Vec<&Plan>> = BTreeMap::new();
    for plan in plans {
        families.entry(plan.family).or_default().push(plan);
    }
    let mut picked: Vec<&Plan> = plans.iter().take(1).collect();
    for variants in families.values_mut() {
        variants.sort_by_key(|plan| seen.tried(&plan.name()));
        picked.extend(variants.iter().take(EACH).filter(|plan| plan.name() != plans[0].name()));
    }
    picked
}

/// How often each candidate was held to the reference, and how long its first calls took; 0 for those only offered.
#[derive(Default)]
struct Seen(RefCell<BTreeMap<String, (usize, Duration)>>);

impl Seen {
    fn offer(&self, plans: &[Plan]) {
        let mut seen = self.0.borrow_mut();
        for plan in plans {
            seen.entry(plan.name()).or_default();
        }
    }

    fn count(&self, name: String, time: Duration) {
        let mut seen = self.0.borrow_mut();
        let (count, total) = seen.entry(name).or_default();
        *count += 1;
        *total += time;
    }

    fn tried(&self, name: &str) -> usize {
        self.0.borrow().get(name).map_or(0, |(count, _)| *count)
    }

    /// Prints what was tried.
    ///
    /// # Panics
    /// When a candidate was offered and never tried.
    fn finish(self, what: &str) {
        let seen = self.0.into_inner();
        for (name, (count, time)) in &seen {
            println!("{name}: {count} {what}, {} ms for first calls", time.as_millis());
        }
        let missed: Vec<_> = seen.iter().filter(|(_, (count, _))| *count == 0).map(|(name, _)| name).collect();
        assert!(missed.is_empty(), "never tried: {missed:?}");
    }
}

/// Holds one pinned candidate to `expected`, twice, with the same bits both times.
fn hold(
    gpu: &Gpu,
    plan: &Plan,
    (layer, input): &(Layer, Tensor),
    expected: &Expected,
    seen: &Seen,
) -> Result<(), String> {
    let error = |error: wgpu_conv::Error| error.to_string();
    gpu.set_tuning(Tuning::Pin(plan.name()));
    let run = || -> Result<Vec<u32>, String> {
        let output = layer.call(input).map_err(error)?;
        if output.shape().dims() != expected.exact.shape {
            return Err(format!("shape {}, expected {:?}", output.shape(), expected.exact.shape));
        }
        bits(&output)
    };
    let start = Instant::now();
    let first = run()?;
    seen.count(plan.name(), start.elapsed());
    let values: Vec<f32> = first.iter().map(|&bits| f32::from_bits(bits)).collect();
    expected.check(&values)?;
    if run()? != first {
        return Err("two runs differ".to_owned());
    }
    Ok(())
}

/// Rows on the candidates that `plans` tells, in both data formats: values of any size within their bound, small whole
/// numbers exactly. What is within the bound of one exact result agrees between the formats.
fn hold_rows(rows: &[Row], dtype: DType, plans: fn(&Gpu, &Layer, &Tensor) -> wgpu_conv::Result<Vec<Plan>>) {
    let Some(gpu) = own_gpu() else { return };
    if !dtypes(&gpu).contains(&dtype) {
        return;
    }
    let seen = Seen::default();
    test_each(
        rows.iter().enumerate(),
        |(_, row)| format!("{} {dtype}", row.name),
        |(place, row)| {
            // A handle for each row, whose pipelines go with it.
            let gpu = own_gpu().ok_or("the device is gone")?;
            let mut numbers = Numbers::new(*place as u64);
            let operands = Operands::new(row, || numbers.unit(storage(dtype)));
            let whole = Operands::new(row, || numbers.small());
            for data_format in FORMATS {
                let error = |error: wgpu_conv::Error| error.to_string();
                let expected = row.expected(&operands, data_format, storage(dtype));
                let in_tiles = LazyCell::new(|| row.expected_in_tiles(&operands, data_format, storage(dtype)));
                let exactly = row.exactly(&whole, data_format);
                let built = build(&gpu, row, &operands, data_format, dtype).map_err(error)?;
                let built_whole = build(&gpu, row, &whole, data_format, dtype).map_err(error)?;
                let plans = plans(&gpu, &built.0, &built.1).map_err(error)?;
                seen.offer(&plans);
                for plan in picked(&plans, &seen) {
                    let name = plan.name();
                    let fail = |why: String| format!("{} {name}: {why}", data_format.name());
                    let expected = if plan.accuracy.mixed > 1 { &*in_tiles } else { &expected };
                    hold(&gpu, plan, &built, expected, &seen).map_err(fail)?;
                    // Tiles of 4×4 divide by 15.
                    if let Some(exactly) = exactly.as_ref().filter(|_| plan.accuracy.mixed < 4) {
                        let fail = |why: String| format!("{} {name}, whole numbers: {why}", data_format.name());
                        hold(&gpu, plan, &built_whole, exactly, &Seen::default()).map_err(fail)?;
                    }
                }
            }
            Ok(())
        },
    );
    seen.finish("calls");
}

#[test]
fn table_in_f32() {
    hold_rows(&ROWS, DType::F32, plans);
}

#[test]
fn table_in_f16() {
    hold_rows(&ROWS, DType::F16, plans);
}

#[test]
fn separable_in_one_pass() {
    hold_rows(&ONE_PASS_ROWS, DType::F32, one_pass_plans);
    hold_rows(&ONE_PASS_ROWS, DType::F16, one_pass_plans);
}

#[test]
fn activations_along_an_axis() {
    hold_rows(&AXIS_ROWS, DType::F32, plans);
    hold_rows(&AXIS_ROWS, DType::F16, plans);
}

/// Every element-wise activation where a convolution stores its result, in vectors and in scalars.
#[test]
fn fused_activations() {
    let Some(gpu) = own_gpu() else { return };
    let seen = Seen::default();
    let pointwise =
        ACTIVATIONS.into_iter().filter(|name| Activation::from_name(name).is_ok_and(|a| a.axis().is_none()));
    for dtype in dtypes(&gpu) {
        test_each(
            pointwise.clone(),
            |name| format!("{name} {dtype}"),
            |name| {
                let row = Row { activation: name, ..row("fused", Kind::Dense { filters: 8, groups: 1 }, [9, 11], 3) };
                let mut numbers = Numbers::new(7);
                // Sums up to ±12, where exponentials are large and gates closed.
                let mut operands = Operands::new(&row, || numbers.unit(storage(dtype)));
                operands.weights[0] = operands.weights[0].map(|weight| 4.0 * weight);
                let expected = row.expected(&operands, DataFormat::ChannelsLast, storage(dtype));
                let built = build(&gpu, &row, &operands, DataFormat::ChannelsLast, dtype).map_err(|e| e.to_string())?;
                let plans = plans(&gpu, &built.0, &built.1).map_err(|e| e.to_string())?;
                for plan in plans.iter().filter(|plan| plan.family == "conv_direct") {
                    hold(&gpu, plan, &built, &expected, &seen).map_err(|why| format!("{}: {why}", plan.name()))?;
                }
                Ok(())
            },
        );
    }
    seen.finish("activations");
}

/// A depthwise convolution is the grouped one with the same bytes for a kernel (D4): the same problem, the same bits.
#[test]
fn depthwise_is_grouped() {
    let Some(gpu) = own_gpu() else { return };
    let rows = ROWS.iter().filter(|row| row.strides == [1, 1] || row.dilation == [1, 1]);
    test_each(
        rows.filter_map(|row| match row.kind {
            Kind::Depthwise { multiplier } => Some((row, multiplier)),
            _ => None,
        }),
        |(row, _)| row.name,
        |(row, multiplier)| {
            let groups = row.channels as u32;
            let twin = Row { kind: Kind::Dense { filters: groups * multiplier, groups }, ..(*row).clone() };
            let mut numbers = Numbers::new(11);
            let operands = Operands::new(row, || numbers.unit(storage(DType::F32)));
            let mut regrouped = operands.clone();
            regrouped.weights[0].shape =
                vec![row.kernel[0] as usize, row.kernel[1] as usize, 1, row.channels * *multiplier as usize];
            for data_format in FORMATS {
                let run = |row: &Row, operands: &Operands| {
                    let (layer, input) = build(&gpu, row, operands, data_format, DType::F32)?;
                    Ok((layer.config().convolutions(input.shape())?, layer.call(&input)?))
                };
                let depthwise = run(row, &operands).map_err(|error: wgpu_conv::Error| error.to_string())?;
                let grouped = run(&twin, &regrouped).map_err(|error| error.to_string())?;
                if depthwise.0 != grouped.0 || bits(&depthwise.1)? != bits(&grouped.1)? {
                    return Err(format!("{:?} and {:?} differ", depthwise.0, grouped.0));
                }
            }
            Ok(())
        },
    );
}

/// Each pinned name compiles something of its own, so a pin is obeyed and not passed over.
#[test]
fn pins_are_obeyed() {
    let shape = [1, 9, 10, 8];
    for layer in [Conv2D::new(8, 3).into(), DepthwiseConv2D::new(3).into(), SeparableConv2D::new(16, 3).into()] {
        let Some(gpu) = own_gpu() else { return };
        let layer: Layer = LayerConfig::build(&layer, &gpu, shape).expect("a layer");
        let input = Tensor::from_slice(&gpu, shape, &[0.5f32; 720]).expect("a tensor");
        // Convolutions one by one share what the other compiles.
        let in_one_pass = one_pass_plans(&gpu, &layer, &input).expect("plans");
        let one_by_one = plans(&gpu, &layer, &input).expect("plans");
        for plan in if in_one_pass.is_empty() { one_by_one } else { in_one_pass } {
            let (name, before) = (plan.name(), gpu.counters().pipelines);
            gpu.set_tuning(Tuning::Pin(name.clone()));
            layer.call(&input).expect("a call");
            assert!(gpu.counters().pipelines > before, "{name} compiled nothing");
        }
    }
}

/// Any small convolution.
fn any_row() -> impl Strategy<Value = Row> {
    let kind = prop_oneof![
        4 => (1u32..=20, 1u32..=3, 1usize..=8).prop_map(|(filters, groups, channels)| {
            (Kind::Dense { filters: filters * groups, groups }, channels * groups as usize)
        }),
        3 => (1u32..=5, 1usize..=13).prop_map(|(multiplier, channels)| (Kind::Depthwise { multiplier }, channels)),
        1 => (1u32..=3, 1u32..=9, 1usize..=9).prop_map(|(multiplier, filters, channels)| {
            (Kind::Separable { multiplier, filters }, channels)
        }),
    ];
    let pair = |range: std::ops::RangeInclusive<u32>| [range.clone(), range];
    let window = (pair(1..=5), pair(1..=3), pair(1..=3), any::<bool>());
    let activation = prop_oneof![2 => Just("linear"), 1 => Just("relu"), 1 => Just("tanh")];
    (kind, 1usize..=3, [0usize..=12, 0usize..=12], window, any::<bool>(), activation).prop_map(
        |((kind, channels), batch, more, (kernel, strides, mut dilation, same), bias, activation)| {
            if matches!(kind, Kind::Dense { .. }) && strides != [1, 1] {
                dilation = [1, 1];
            }
            let least = |axis: usize| if same { 1 } else { ((kernel[axis] - 1) * dilation[axis] + 1) as usize };
            let size = [least(0) + more[0], least(1) + more[1]];
            Row { name: "swept", kind, batch, size, channels, kernel, strides, dilation, same, bias, activation }
        },
    )
}

/// A sweep from a fixed seed; `PROPTEST_CASES` makes it longer.
#[test]
fn sweep() {
    let Some(gpu) = own_gpu() else { return };
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(64);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let dtypes = dtypes(&gpu);
    let seen = Seen::default();
    let strategy = (any_row(), any::<bool>(), 0..dtypes.len(), any::<u64>());
    let outcome = runner.run(&strategy, |(row, first, dtype, seed)| {
        let (data_format, dtype) = (FORMATS[usize::from(first)], dtypes[dtype]);
        let mut numbers = Numbers::new(seed);
        let operands = Operands::new(&row, || numbers.unit(storage(dtype)));
        let expected = row.expected(&operands, data_format, storage(dtype));
        let run = || {
            let gpu = own_gpu().ok_or("the device is gone")?;
            let built = build(&gpu, &row, &operands, data_format, dtype).map_err(|error| error.to_string())?;
            let plans = plans(&gpu, &built.0, &built.1).map_err(|error| error.to_string())?;
            for plan in picked(&plans, &seen) {
                hold(&gpu, plan, &built, &expected, &seen).map_err(|why| format!("{}: {why}", plan.name()))?;
            }
            Ok(())
        };
        run().map_err(|why: String| TestCaseError::fail(format!("{} {dtype}: {why}", data_format.name())))
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    seen.finish("cases");
}

/// Batch normalization and Dense are convolutions as well, and must keep their bounds on every candidate.
#[test]
fn layers_that_are_convolutions_inside() {
    let Some(gpu) = own_gpu() else { return };
    let rows: [(&str, LayerConfig, [usize; 3]); 4] = [
        ("Dense", Dense::new(13).into(), [3, 5, 7]),
        ("Dense in fours", Dense::new(32).into(), [2, 3, 16]),
        ("BatchNormalization", BatchNormalization::new().into(), [3, 5, 8]),
        ("BatchNormalization, first axis but one", BatchNormalization::new().axis(1).into(), [3, 5, 8]),
    ];
    test_each(
        rows,
        |(name, _, _)| *name,
        |(_, config, shape)| {
            let error = |error: wgpu_conv::Error| error.to_string();
            let mut numbers = Numbers::new(3);
            let mut values = |count: usize| (0..count).map(|_| numbers.unit(storage(DType::F32))).collect::<Vec<_>>();
            let x = Array::new(*shape, values(shape.iter().product()));
            let layer = config.build(&gpu, *shape).map_err(error)?;
            let mut weights = layer.get_weights().unwrap();
            for weight in &mut weights {
                let drawn = values(weight.values.len());
                // A variance is positive; a weight of that kind does not mind.
                weight.values = drawn.iter().map(|v| (v.abs() + 0.25) as f32).collect();
            }
            layer.set_weights(&weights).map_err(error)?;
            let array = |i: usize| Array::from_f32(weights[i].shape.dims().to_vec(), &weights[i].values);
            let convolved = match config {
                LayerConfig::Dense(_) => common::reference::dense(&x, &array(0), Some(&array(1))),
                _ => {
                    let axis =
                        if let LayerConfig::BatchNormalization(layer) = config { layer.axis as isize } else { -1 };
                    let norm = common::reference::BatchStatistics {
                        gamma: Some(array(0)),
                        beta: Some(array(1)),
                        moving_mean: array(2),
                        moving_variance: array(3),
                        epsilon: 1e-3,
                    };
                    let exact = common::reference::batch_normalization(&x, &norm, axis);
                    // One product and a shift, both of numbers rounded to f32: |x|/√(v + ε) + |mean|/√(v + ε) + |beta|.
                    let magnitude = exact.map(|_| 2.5 + 1.25 * 2.5 + 1.25);
                    common::reference::Convolved { exact, partial: magnitude.clone(), magnitude, terms: 1 }
                }
            };
            let expected = expected(&convolved, "linear", &[], storage(DType::F32));
            let input = Tensor::from_slice(&gpu, *shape, &x.to_f32()).map_err(error)?;
            let plans = plans(&gpu, &layer, &input).map_err(error)?;
            let built = (layer, input);
            for plan in plans {
                let fail = |why| format!("{}: {why}", plan.name());
                hold(&gpu, &plan, &built, &expected, &Seen::default()).map_err(fail)?;
            }
            Ok(())
        },
    );
}
