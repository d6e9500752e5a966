//! Every shader that a plan can launch, without a device: it parses, validates, agrees with its plan, and translates to
//! what each backend takes.

pub mod common;
#[path = "common/gradients.rs"]
pub mod gradients;
#[path = "common/problems.rs"]
pub mod problems;
#[path = "common/separable.rs"]
pub mod separable;
#[path = "common/strided.rs"]
pub mod strided;
#[path = "common/table.rs"]
pub mod table;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::Path;

use common::reference::ACTIVATIONS;
use common::test_each;
use naga::back::{glsl, hlsl, msl, spv, wgsl};
use naga::proc::{BoundsCheckPolicies, Layouter};
use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator};
use naga::{AddressSpace, Module, ShaderStage, Statement, StorageAccess, TypeInner};
use table::{AXIS_ROWS, FORMATS, ROWS, Row};
use wgpu_conv::plan::{
    Binding, Caps, CastProblem, Constant, ConvProblem, Dispatch, Elementwise, Epilogue, MapProblem, Operand, Plan,
    Problem, RecurrentFunction, RecurrentGradientProblem, RecurrentProblem, Shader,
};
use wgpu_conv::{Activation, DType, DataFormat, Error, Rounding, Unary, candidates};

/// Devices that plans are asked for: the least there is, one with f16, software adapters, a roomy GPU, those with
/// cooperative matrices as NVIDIA's and as Apple's have them, a cramped one.
fn devices() -> Vec<(&'static str, Caps)> {
    let f16 = Caps { f16: true, ..Caps::FLOOR };
    let roomy = Caps { max_invocations: 1024, workgroup_storage: 48 << 10, max_binding: 1 << 30, ..f16 };
    vec![
        ("floor", Caps::FLOOR),
        ("f16", f16),
        ("roomy", roomy),
        ("subgroups", Caps { subgroup: Some(32), ..roomy }),
        ("matrices of 16", Caps { subgroup: Some(32), cooperative_f16: Some(16), ..roomy }),
        ("matrices of 8", Caps { subgroup: Some(32), cooperative_f16: Some(8), ..f16 }),
        ("software", Caps { software: true, ..f16 }),
        ("software of 4", Caps { software: true, subgroup: Some(4), ..Caps::FLOOR }),
        ("software of 8", Caps { software: true, subgroup: Some(8), u64: true, texel_rows: 16_384, ..roomy }),
        ("sampled", Caps { software: true, texel_rows: 8191, samples_texels: true, ..Caps::FLOOR }),
        (
            "sampled of 4",
            Caps { software: true, subgroup: Some(4), texel_rows: 8191, samples_texels: true, ..Caps::FLOOR },
        ),
        ("cramped", Caps { max_invocations: 64, workgroup_storage: 4 << 10, max_workgroups: 7, ..f16 }),
    ]
}

/// Every problem of the table, and those of the passes around convolutions.
fn problems() -> Vec<(String, Problem)> {
    let mut problems = Vec::new();
    for dtype in [DType::F32, DType::F16] {
        for data_format in FORMATS {
            for row in ROWS.iter().chain(&AXIS_ROWS) {
                problems.extend(of_row(row, data_format, dtype));
            }
        }
        for name in ACTIVATIONS {
            let activation = match name {
                "threshold" => Activation::Threshold { threshold: 0.5, default_value: -1.0 },
                name => Activation::from_name(name).expect("a Keras name"),
            };
            if let Some(activation) = Elementwise::new(&activation) {
                problems
                    .push((format!("{name} {dtype}"), Problem::Map(MapProblem { elements: 1001, dtype, activation })));
                let slope = MapProblem { elements: 1001, dtype, activation };
                problems.push((format!("gradient of {name} {dtype}"), Problem::MapGradient(slope)));
            }
        }
        for name in Unary::names() {
            let activation = Elementwise::of_unary(&Unary::from_name(name).expect("a name"));
            let function = MapProblem { elements: 1001, dtype, activation };
            problems.push((format!("{name} {dtype}"), Problem::Map(function)));
            problems.push((format!("gradient of {name} {dtype}"), Problem::MapGradient(function)));
        }
        let cases = problems::cases(dtype).into_iter().chain(strided::cases(dtype));
        let cases = cases.chain(separable::cases(dtype)).chain(gradients::cases(dtype));
        problems.extend(cases.map(|case| (format!("{} {dtype}", case.name), case.problem)));
        for function in [
            RecurrentFunction::Lstm,
            RecurrentFunction::GruResetAfter,
            RecurrentFunction::GruResetBefore,
            RecurrentFunction::Simple,
        ] {
            let each = |activation| Elementwise::new(&activation).expect("a function of each value");
            let of = RecurrentProblem {
                function,
                batch: 3,
                times: 700,
                units: 70,
                backwards: true,
                bias: true,
                masked: false,
                dropped: false,
                begins: false,
                last_cell: false,
                activation: each(Activation::Elu { alpha: 0.5 }),
                gate: each(Activation::HardSigmoid),
                dtype,
            };
            problems.push((format!("{function:?} {dtype}"), Problem::Recurrent(of)));
            let gradient = Problem::RecurrentGradient(RecurrentGradientProblem { of });
            problems.push((format!("gradient of {function:?} {dtype}"), gradient));
            let of = RecurrentProblem { masked: true, dropped: true, begins: true, last_cell: true, ..of };
            problems.push((format!("{function:?} {dtype} with a mask"), Problem::Recurrent(of)));
            let gradient = Problem::RecurrentGradient(RecurrentGradientProblem { of });
            problems.push((format!("gradient of {function:?} {dtype} with a mask"), gradient));
        }
        for to in [DType::F32, DType::F16] {
            for rounding in [None, Some(Rounding::BFloat16), Some(Rounding::Float16)] {
                let problem = CastProblem { elements: 999, from: dtype, to, rounding };
                problems.push((format!("{dtype} to {to} by {rounding:?}"), Problem::Cast(problem)));
            }
        }
    }
    problems
}

fn of_row(row: &Row, data_format: DataFormat, dtype: DType) -> Vec<(String, Problem)> {
    let layer = row.layer(data_format, dtype);
    let convolutions = layer.convolutions(row.input_shape(data_format)).expect("the table's rows are sound");
    let name = format!("{} {} {dtype}", row.name, data_format.name());
    let with_residual = |problem: &ConvProblem| {
        let epilogue = Epilogue { residual: true, ..problem.epilogue };
        (format!("{name} with a residual"), Problem::Conv(ConvProblem { epilogue, ..*problem }))
    };
    let residuals: Vec<_> = convolutions.iter().map(with_residual).collect();
    convolutions.into_iter().map(|problem| (name.clone(), Problem::Conv(problem))).chain(residuals).collect()
}

fn uses_f16(problem: &Problem) -> bool {
    match problem {
        Problem::Conv(problem) => problem.dtype == DType::F16,
        Problem::Separable(problem) => problem.dtype() == DType::F16,
        Problem::Map(problem) => problem.dtype == DType::F16,
        Problem::AlongAxis(problem) => problem.dtype == DType::F16,
        Problem::Cast(problem) => problem.from == DType::F16 || problem.to == DType::F16,
        Problem::Pool(problem) => problem.dtype == DType::F16,
        Problem::Normalize(problem) => problem.dtype == DType::F16,
        Problem::Resize(problem) => problem.dtype == DType::F16,
        Problem::Move(problem) => problem.dtype == DType::F16,
        Problem::Binary(problem) => problem.dtype == DType::F16,
        Problem::Product(problem) => problem.dtype == DType::F16,
        Problem::Take(problem) => problem.dtype == DType::F16 || problem.index_dtype == DType::F16,
        Problem::Recurrent(problem) => problem.dtype == DType::F16,
        Problem::RecurrentGradient(problem) => problem.of.dtype == DType::F16,
        Problem::Affine(problem) => problem.dtype == DType::F16,
        Problem::Noise(problem) => problem.dtype == DType::F16,
        Problem::MapGradient(problem) => problem.dtype == DType::F16,
        Problem::BinaryGradient(problem) => problem.of.dtype == DType::F16,
        Problem::PoolGradient(problem) => problem.of.dtype == DType::F16,
        Problem::KernelGradient(problem) => problem.dtype == DType::F16,
        Problem::BatchNormalize(_) => false,
        other => panic!("{other:?} is not known here"),
    }
}

/// Every (device, problem, plans).
fn menu() -> Vec<(String, Caps, Vec<Plan>)> {
    let problems = problems();
    let mut menu = Vec::new();
    for (device, caps) in devices() {
        for (name, problem) in problems.iter().filter(|(_, problem)| caps.f16 || !uses_f16(problem)) {
            let plans = candidates(problem, &caps).unwrap_or_else(|error| panic!("{name} on {device}: {error}"));
            menu.push((format!("{name} on {device}"), caps, plans));
        }
    }
    menu
}

fn launches(plan: &Plan) -> impl Iterator<Item = &Dispatch> {
    plan.packing.iter().map(|packing| &packing.step).chain(&plan.steps)
}

fn parse(shader: &Shader) -> Result<(Module, String), String> {
    let text = shader.wgsl();
    let module = naga::front::wgsl::parse_str(&text).map_err(|error| error.emit_to_string(&text))?;
    Ok((module, text))
}

/// What the features of a device let shaders do.
fn capabilities(caps: &Caps) -> Capabilities {
    let mut capabilities = Capabilities::empty();
    capabilities.set(Capabilities::SHADER_FLOAT16, caps.f16);
    capabilities.set(Capabilities::SHADER_INT64, caps.u64);
    capabilities.set(Capabilities::SUBGROUP, caps.subgroup.is_some());
    capabilities.set(Capabilities::COOPERATIVE_MATRIX, caps.cooperative_f16.is_some());
    capabilities
}

fn validate(module: &Module, text: &str, capabilities: Capabilities) -> Result<ModuleInfo, String> {
    let mut validator = Validator::new(ValidationFlags::all(), capabilities);
    if capabilities.contains(Capabilities::SUBGROUP) {
        validator.subgroup_stages(ShaderStages::COMPUTE).subgroup_operations(SubgroupOperationSet::all());
    }
    validator.validate(module).map_err(|error| error.emit_to_string(text))
}

#[test]
fn names_are_unique_and_lead_to_a_file() {
    let kernels = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/kernels");
    test_each(
        menu(),
        |(name, _, _)| name.clone(),
        |(_, _, plans)| {
            let names: BTreeSet<String> = plans.iter().map(Plan::name).collect();
            if names.len() != plans.len() {
                return Err(format!("{:?}", plans.iter().map(Plan::name).collect::<Vec<_>>()));
            }
            let lost = plans.iter().find(|plan| !kernels.join(plan.family).with_extension("rs").is_file());
            lost.map_or(Ok(()), |plan| Err(format!("src/kernels has no {}.rs", plan.family)))
        },
    );
}

#[test]
fn names_tell_the_element_type() {
    let caps = devices()[1].1;
    for (name, problem) in problems() {
        let Problem::Conv(conv) = problem else { continue };
        for plan in candidates(&problem, &caps).expect("plans") {
            assert!(plan.variant.contains(&format!("{}x", conv.dtype)), "{name}: {}", plan.name());
        }
    }
}

/// A kernel that is no candidate on a software adapter would never run where there is no hardware: whatever hardware has
/// on its menu, a software adapter with subgroups of 8 (lavapipe) and the same limits has too.
#[test]
fn software_can_run_what_hardware_can() {
    for (name, problem) in problems() {
        for (device, caps) in devices() {
            if caps.software || uses_f16(&problem) && !caps.f16 {
                continue;
            }
            let names = |caps: &Caps| -> BTreeSet<String> {
                let plans = candidates(&problem, caps).unwrap_or_else(|error| panic!("{name} on {device}: {error}"));
                plans.into_iter().map(|plan| plan.name()).collect()
            };
            let (hardware, software) = (names(&caps), names(&Caps { software: true, subgroup: Some(8), ..caps }));
            let missing: Vec<_> = hardware.difference(&software).collect();
            assert!(missing.is_empty(), "{name} on {device}: software lacks {missing:?}");
        }
    }
}

/// Matrix units are the first choice where they may be used, for halves alone, and no choice elsewhere.
#[test]
fn matrix_units_multiply_halves() {
    let row = ROWS.iter().find(|row| row.name == "tile of 3x3").expect("a row");
    let devices = devices();
    let has = |name: &str| devices.iter().find(|(device, _)| *device == name).expect("a device").1;
    let [with, without] = ["matrices of 16", "subgroups"].map(has);
    let tiles = |caps: &Caps, dtype| -> Vec<bool> {
        let (_, problem) = of_row(row, DataFormat::ChannelsLast, dtype).swap_remove(0);
        let plans = candidates(&problem, caps).expect("plans");
        plans.iter().map(|plan| plan.family == "conv_cooperative").collect()
    };
    let halves = tiles(&with, DType::F16);
    assert!(halves[0] && !halves[1..].contains(&true));
    for (caps, dtype) in [(with, DType::F32), (without, DType::F16)] {
        assert!(!tiles(&caps, dtype).contains(&true), "{dtype} on {caps:?}");
    }
    let refused = Caps { cooperative_f16: Some(32), ..with };
    assert!(!tiles(&refused, DType::F16).contains(&true), "WGSL has no matrices of 32");
}

#[test]
fn every_convolution_can_be_direct() {
    for (name, problem) in problems().iter().filter(|(_, problem)| matches!(problem, Problem::Conv(_))) {
        for (device, caps) in devices().into_iter().filter(|(_, caps)| caps.f16 || !uses_f16(problem)) {
            let direct = |plan: &Plan| plan.family == "conv_direct" || plan.variant.starts_with("direct_");
            let plans = candidates(problem, &caps).expect("plans");
            assert!(plans.iter().any(direct), "{name} on {device}");
        }
    }
}

#[test]
fn f16_is_refused_where_there_is_none() {
    for (name, problem) in problems().iter().filter(|(_, problem)| uses_f16(problem)) {
        match candidates(problem, &Caps::FLOOR) {
            Err(Error::Unsupported { what, .. }) => assert!(what.contains("f16"), "{name}: {what}"),
            other => panic!("{name}: {:?}", other.map(|plans| plans.len())),
        }
    }
}

#[test]
fn launches_keep_the_limits() {
    test_each(
        menu(),
        |(name, _, _)| name.clone(),
        |(_, caps, plans)| {
            for plan in plans {
                for step in launches(plan) {
                    if let Some(over) = step.workgroups.iter().find(|&&count| count > caps.max_workgroups || count == 0)
                    {
                        return Err(format!("{}: {over} workgroups", plan.name()));
                    }
                    // What every WebGPU device binds to one stage.
                    if step.bindings.len() > 8 {
                        return Err(format!("{}: {} storage buffers", plan.name(), step.bindings.len()));
                    }
                }
                if let Some(over) = plan.scratch.iter().find(|&&bytes| bytes > caps.max_binding || bytes == 0) {
                    return Err(format!("{}: {over} bytes of scratch", plan.name()));
                }
            }
            Ok(())
        },
    );
}

/// Parsing, validation, the uniform block, the bindings, workgroup size and memory of every shader of every device.
#[test]
fn shaders_agree_with_their_plans() {
    let mut seen = HashSet::new();
    let mut launched = HashMap::<Shader, Vec<(String, Caps, Dispatch)>>::new();
    for (name, caps, plans) in menu() {
        for plan in &plans {
            for step in launches(plan) {
                let limits = (capabilities(&caps).bits(), caps.max_invocations, caps.workgroup_storage);
                if seen.insert((step.shader.clone(), limits)) {
                    let row = (format!("{name}: {}", plan.name()), caps, step.clone());
                    launched.entry(step.shader.clone()).or_default().push(row);
                }
            }
        }
    }
    println!("{} shaders, {} with the limits of devices", launched.len(), seen.len());
    let rows = launched.into_values().map(|mut rows| {
        rows.sort_by_key(|(_, caps, _)| capabilities(caps).bits().count_ones());
        rows
    });
    test_each(rows, |rows| rows[0].0.clone(), |rows| sound(rows));
}

/// What one shader is launched for agrees with it: devices that can do less first.
fn sound(rows: &[(String, Caps, Dispatch)]) -> Result<(), String> {
    let (module, text) = parse(&rows[0].2.shader)?;
    let mut valid: Vec<Capabilities> = Vec::new();
    for (name, caps, step) in rows {
        let capabilities = capabilities(caps);
        // What is valid with less is valid with more.
        if !valid.iter().any(|less| capabilities.contains(*less)) {
            validate(&module, &text, capabilities).map_err(|why| format!("{name}: {why}"))?;
            valid.push(capabilities);
        }
        agree(&module, caps, step).map_err(|why| format!("{name}: {why}"))?;
    }
    Ok(())
}

fn agree(module: &Module, caps: &Caps, step: &Dispatch) -> Result<(), String> {
    let mut bound = BTreeMap::new();
    let mut layouter = Layouter::default();
    layouter.update(module.to_ctx()).map_err(|error| error.to_string())?;
    let mut memory = 0;
    for (_, global) in module.global_variables.iter() {
        if global.space == AddressSpace::WorkGroup {
            memory += layouter[global.ty].size;
        }
        let Some(binding) = &global.binding else { continue };
        if binding.group != 0 {
            return Err(format!("group {}", binding.group));
        }
        bound.insert(binding.binding as usize, global);
    }
    let Some(uniform) = bound.remove(&0) else { return Err("there is no uniform block".to_owned()) };
    match &module.types[uniform.ty].inner {
        TypeInner::Struct { span, members } if uniform.space == AddressSpace::Uniform => {
            let size = step.params.len() * 4;
            if *span as usize != size || members.len() != step.params.len() {
                return Err(format!(
                    "the uniform block has {span} bytes in {} members, {size} are uploaded",
                    members.len()
                ));
            }
        }
        other => return Err(format!("binding 0 is {other:?} in {:?}", uniform.space)),
    }
    for (place, binding) in (1..).zip(&step.bindings) {
        let expected = match binding {
            Binding::Read(_) => AddressSpace::Storage { access: StorageAccess::LOAD },
            Binding::Write(_) => AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE },
            Binding::Texels(..) | Binding::StoreTexels(..) => AddressSpace::Handle,
        };
        match bound.remove(&place) {
            Some(global) if global.space == expected => {}
            Some(global) => return Err(format!("{binding:?} is {:?}", global.space)),
            // A launch that begins what others finish, or finishes what they began, has the places of one that does it all,
            // and one of two convolutions has the place of a residual where there is none.
            None if [Operand::Kernel, Operand::Bias, Operand::Other].map(Binding::Read).contains(binding) => {}
            None => return Err(format!("{binding:?} is nowhere")),
        }
    }
    if !bound.is_empty() {
        return Err(format!("bindings {:?} beyond the plan's {}", bound.keys(), step.bindings.len()));
    }
    let constants = [Operand::Kernel, Operand::Bias, Operand::ThenKernel, Operand::ThenBias];
    let given = [&[Operand::Input, Operand::Other], &constants[..]].concat();
    let written = |binding: &&Binding| matches!(binding, Binding::Write(operand) if given.contains(operand));
    if let Some(binding) = step.bindings.iter().find(written) {
        return Err(format!("{binding:?}: what is given must not be written"));
    }
    let [entry] = &module.entry_points[..] else { return Err("there must be one entry point".to_owned()) };
    let invocations: u32 = entry.workgroup_size.iter().product();
    if entry.name != "main" || entry.stage != ShaderStage::Compute || invocations > caps.max_invocations {
        return Err(format!("entry point {} of {invocations} invocations", entry.name));
    }
    if memory > caps.workgroup_storage {
        return Err(format!("{memory} bytes of workgroup memory, there are {}", caps.workgroup_storage));
    }
    Ok(())
}

/// The stores to a single component of a vector in workgroup memory. WGSL takes them for writes of the whole vector: two
/// invocations that write two components of one race, and drivers do read and write the whole.
fn component_stores(module: &Module, info: &ModuleInfo) -> usize {
    let stores = |function: &naga::Function, of: &naga::valid::FunctionInfo| {
        let mut blocks = vec![&function.body];
        let mut count = 0;
        while let Some(block) = blocks.pop() {
            for statement in block {
                match statement {
                    Statement::Block(inner) => blocks.push(inner),
                    Statement::If { accept, reject, .. } => blocks.extend([accept, reject]),
                    Statement::Switch { cases, .. } => blocks.extend(cases.iter().map(|case| &case.body)),
                    Statement::Loop { body, continuing, .. } => blocks.extend([body, continuing]),
                    Statement::Store { pointer, .. } => {
                        let component = |inner: &TypeInner| {
                            matches!(inner, TypeInner::ValuePointer { size: None, space: AddressSpace::WorkGroup, .. })
                        };
                        count += usize::from(component(of[*pointer].ty.inner_with(&module.types)));
                    }
                    _ => {}
                }
            }
        }
        count
    };
    let functions = module.functions.iter().map(|(handle, function)| stores(function, &info[handle]));
    let entries = (module.entry_points.iter().enumerate())
        .map(|(index, entry)| stores(&entry.function, info.get_entry_point(index)));
    functions.chain(entries).sum()
}

#[test]
fn vectors_of_workgroup_memory_are_stored_whole() {
    let racing = "var<workgroup> pixels: array<vec4<f32>, 64>;
        @compute @workgroup_size(64) fn main(@builtin(local_invocation_index) i: u32) {
            for (var k = 0u; k < 4u; k++) { if k < i { pixels[i / 4u][i % 4u] = f32(k); } }
        }";
    let module = naga::front::wgsl::parse_str(racing).expect("a shader");
    let info = validate(&module, racing, Capabilities::empty()).expect("a sound shader");
    assert_eq!(component_stores(&module, &info), 1, "the search finds nothing");
    let mut seen = HashSet::new();
    for (name, caps, plans) in menu() {
        for plan in &plans {
            for step in launches(plan).filter(|step| seen.insert(step.shader.clone())) {
                let (module, text) = parse(&step.shader).expect("a shader");
                let info = validate(&module, &text, capabilities(&caps)).expect("a sound shader");
                assert_eq!(component_stores(&module, &info), 0, "{name}: {}", plan.name());
            }
        }
    }
}

/// Every shader in the language of every backend, and back: one of those that differ in numbers alone, since a translation
/// does not look at them. Of all with `EVERY_SHADER=1`.
#[test]
fn shaders_translate_to_every_backend() {
    let every = std::env::var_os("EVERY_SHADER").is_some_and(|value| value == "1");
    let mut seen = HashSet::new();
    let mut rows = Vec::new();
    for (name, caps, plans) in menu() {
        for plan in &plans {
            let mut first = |shader: &Shader| {
                let mut shader = shader.clone();
                if !every {
                    shader.constants.retain(|(_, value)| matches!(value, Constant::Type(..)));
                }
                seen.insert(shader)
            };
            for step in launches(plan).filter(|step| first(&step.shader)) {
                rows.push((format!("{name}: {}", plan.name()), caps, step.shader.clone()));
            }
        }
    }
    println!("{} shaders", rows.len());
    test_each(rows, |(name, _, _)| name.clone(), |(_, caps, shader)| translate(caps, shader));
}

fn translate(caps: &Caps, shader: &Shader) -> Result<(), String> {
    let (module, text) = parse(shader)?;
    let info = validate(&module, &text, capabilities(caps))?;
    let fail = |backend: &str, error: &dyn std::fmt::Display| format!("{backend}: {error}");
    let spirv =
        spv::write_vec(&module, &info, &spv::Options::default(), None).map_err(|error| fail("SPIR-V", &error))?;
    if spirv.is_empty() {
        return Err("SPIR-V is empty".to_owned());
    }
    let options = msl::Options { fake_missing_bindings: true, lang_version: (2, 4), ..Default::default() };
    msl::write_string(&module, &info, &options, &msl::PipelineOptions::default())
        .map_err(|error| fail("MSL", &error))?;
    // Cooperative matrices are in SPIR-V and Metal's language alone, and so on the menu of no other adapter.
    let typed = |prefix| {
        let of_these = |value: &Constant| matches!(value, Constant::Type(name, _) if name.starts_with(prefix));
        shader.constants.iter().any(|(_, value)| of_these(value))
    };
    if !typed("coop_mat") {
        let options =
            hlsl::Options { fake_missing_bindings: true, shader_model: hlsl::ShaderModel::V6_2, ..Default::default() };
        let mut text = String::new();
        let mut writer = hlsl::Writer::new(&mut text, &options, &hlsl::PipelineOptions { entry_point: None });
        writer.write(&module, &info, None).map_err(|error| fail("HLSL", &error))?;
    }
    // GLSL has no portable half and no u64, and none of this crate's backends takes it: it shows that nothing else stands in
    // the way.
    if !typed("f16") && !typed("u64") {
        for version in [glsl::Version::new_gles(310), glsl::Version::Desktop(430)] {
            let options = glsl::Options { version, ..Default::default() };
            let pipeline = glsl::PipelineOptions {
                shader_stage: ShaderStage::Compute,
                entry_point: "main".to_owned(),
                multiview: None,
            };
            let mut text = String::new();
            glsl::Writer::new(&mut text, &module, &info, &options, &pipeline, BoundsCheckPolicies::default())
                .and_then(|mut writer| writer.write().map(drop))
                .map_err(|error| fail(&format!("GLSL {version}"), &error))?;
        }
    }
    let back = wgsl::write_string(&module, &info, wgsl::WriterFlags::empty()).map_err(|error| fail("WGSL", &error))?;
    let again = naga::front::wgsl::parse_str(&back).map_err(|error| error.emit_to_string(&back))?;
    validate(&again, &back, capabilities(caps)).map(drop)
}
