//! Compiles shaders for GPUs that are not there, and tells from the machine code how near to the peak they can come.

mod asm;
// What it shares with the bench, which has more use for it.
#[allow(dead_code)]
#[path = "../../conv/case.rs"]
mod case;
mod driver;
mod model;
mod project;
mod reflect;
mod translate;

use std::path::Path;

use asm::Dialect;
use driver::{Compiled, Driver};
use model::{Hints, Machine, Verdict};
use translate::Checks;
use wgpu_conv::DType;
use wgpu_conv::plan::{Constant, Dispatch};

const USAGE: &str = "\
lab device                          what the driver pretends to be
lab plans SHAPES [NAME...]          every candidate for the layers of a file of ../shapes (all, or those with NAME in theirs)
lab results GPU SHAPES              the same in f32 and f16 as lines of ../results, for a GPU of this name: see results.sh
lab shader FILE...                  any WGSL (.wgsl) or SPIR-V (.spv) compute shader

  --best               plans: only the first candidate, which the crate would take
  --f16                plans: half-precision storage
  --unchecked          WGSL as if from create_shader_module_trusted: no clamps, no bound on loops, no tests of divisors
  --unbound            only the bound on loops left out
  --not-robust         without robustBufferAccess2, as native programs open their devices
  --entry NAME         shader: its entry point
  --spec ID=VALUE,...  shader: specialization constants
  --groups N           shader: workgroups of the launch, for the share of the device it fills
  --local N            shader: invocations of a workgroup, where constants specialize it
  --step N             shader: multiply-adds of an invocation between two barriers, where the inner loop is not unrolled
  --total N            shader: multiply-adds of an invocation in all, for the time
  --inner N            shader: how often loops that only bring operands run in a step
  --ways N             shader: bank conflict of stores to workgroup memory
  --wave N             the subgroup size that shaders insist on
  --subgroup N         plans: as if the adapter had subgroups of this size only
  --label TEXT         shader: what to call it
  --dump DIR           writes the disassembly and everything else the driver tells to DIR
  --tsv                machine-readable";

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

struct Options {
    words: Vec<String>,
    best: bool,
    dtype: DType,
    checks: Checks,
    robust: bool,
    entry: Option<String>,
    spec: Vec<(u32, u32)>,
    groups: f64,
    local: Option<f64>,
    step: Option<f64>,
    total: Option<f64>,
    inner: f64,
    ways: f64,
    wave: Option<u32>,
    subgroup: Option<u32>,
    label: Option<String>,
    dump: Option<String>,
    tsv: bool,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        words: Vec::new(),
        best: false,
        dtype: DType::F32,
        checks: Checks::WGPU,
        robust: true,
        entry: None,
        spec: Vec::new(),
        groups: 0.0,
        local: None,
        step: None,
        total: None,
        inner: 1.0,
        ways: 1.0,
        wave: None,
        subgroup: None,
        label: None,
        dump: None,
        tsv: false,
    };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(format!("{arg} takes a value"));
        let number = |text: String| text.parse::<f64>().map_err(|error| format!("{text}: {error}"));
        match arg.as_str() {
            "--best" => options.best = true,
            "--f16" => options.dtype = DType::F16,
            "--unchecked" => options.checks = Checks { bounds: false, loops: false, divisors: false, ..options.checks },
            "--unbound" => options.checks.loops = false,
            "--not-robust" => options.robust = false,
            "--entry" => options.entry = Some(value()?),
            "--spec" => {
                for pair in value()?.split(',') {
                    let (id, number) = pair.split_once('=').ok_or("--spec ID=VALUE,...")?;
                    let number = number
                        .parse::<u32>()
                        .or_else(|_| number.parse::<f32>().map(f32::to_bits))
                        .map_err(|error| error.to_string())?;
                    options.spec.push((id.parse().map_err(|_| "--spec ID=VALUE,...")?, number));
                }
            }
            "--groups" => options.groups = number(value()?)?,
            "--local" => options.local = Some(number(value()?)?),
            "--step" => options.step = Some(number(value()?)?),
            "--total" => options.total = Some(number(value()?)?),
            "--inner" => options.inner = number(value()?)?,
            "--ways" => options.ways = number(value()?)?,
            "--subgroup" => options.subgroup = Some(number(value()?)? as u32),
            "--wave" => options.wave = Some(number(value()?)? as u32),
            "--label" => options.label = Some(value()?),
            "--dump" => options.dump = Some(value()?),
            "--tsv" => options.tsv = true,
            other if other.starts_with("--") => return Err(format!("{other}?\n\n{USAGE}")),
            _ => options.words.push(arg),
        }
    }
    Ok(options)
}

/// One line of the table.
#[derive(Default)]
struct Row {
    workload: String,
    kernel: String,
    groups: f64,
    invocations: f64,
    compiled: Compiled,
    occupancy: f64,
    verdict: Option<Verdict>,
    /// The time of several launches; such a line has nothing else.
    micros: Option<f64>,
}

fn statistic(compiled: &Compiled, names: &[&str]) -> Option<f64> {
    names.iter().find_map(|name| compiled.statistics.get(*name).copied())
}

fn registers(compiled: &Compiled) -> f64 {
    statistic(compiled, &["VGPRs", "Number of GPRs", "Max live registers", "Registers used", "GPRs"]).unwrap_or(0.0)
}

fn spills(compiled: &Compiled) -> f64 {
    let sum = |names: &[&str]| names.iter().filter_map(|name| compiled.statistics.get(*name)).sum::<f64>();
    sum(&["Spilled VGPRs", "Spill Count", "SLM Size", "Spills", "Scratch size", "STP Count"])
}

fn shared_bytes(compiled: &Compiled) -> f64 {
    statistic(compiled, &["LDS size", "LDS Size", "Workgroup Memory Size", "Shared memory size"]).unwrap_or(0.0)
}

/// Waves of a SIMD that its registers and the core's workgroup memory hold.
fn occupancy(driver: &Driver, machine: &Machine, compiled: &Compiled, invocations: f64, wave: f64) -> f64 {
    let upper = driver.name.to_uppercase();
    let of_group = (invocations / wave).ceil();
    let (by_registers, most, memory) = match machine.dialect {
        Dialect::Amd if machine.lanes < 32.0 => ((256.0 / registers(compiled).max(4.0)).floor(), 10.0, 65536.0),
        Dialect::Amd => {
            let large = ["NAVI31", "GFX1151", "GFX12"].iter().any(|name| upper.contains(name));
            let file = if large { 1536.0 } else { 1024.0 } * 32.0 / wave;
            let most = if upper.contains("NAVI1") { 20.0 } else { 16.0 };
            ((file / registers(compiled).max(8.0)).floor(), most, 65536.0)
        }
        Dialect::Nvidia => {
            ((512.0 / ((registers(compiled) / 8.0).ceil() * 8.0).max(16.0)).floor(), 12.0, 100.0 * 1024.0)
        }
        Dialect::Intel => (8.0, 8.0, 128.0 * 1024.0),
        Dialect::Adreno => {
            let most = compiled.statistics.get("Max Waves Per Core").copied().unwrap_or(4.0) / 2.0;
            (most, most, 32.0 * 1024.0)
        }
    };
    let waves = (by_registers.min(most) * machine.simds / of_group).floor().max(1.0);
    let groups = if shared_bytes(compiled) > 0.0 {
        waves.min((memory / shared_bytes(compiled)).floor().max(1.0))
    } else {
        waves
    };
    groups * of_group / machine.simds
}

fn row(driver: &Driver, workload: &str, kernel: &str, compiled: Compiled, hints: Hints) -> Row {
    let dialect = asm::dialect(&compiled.assembly);
    let machine = dialect.map(|dialect| model::machine(&driver.name, dialect));
    let wave = if compiled.subgroup > 0 { f64::from(compiled.subgroup) } else { 32.0 };
    let mut row = Row {
        workload: workload.into(),
        kernel: kernel.into(),
        groups: hints.workgroups,
        invocations: hints.invocations,
        compiled,
        ..Row::default()
    };
    if let (Some(dialect), Some(machine)) = (dialect, machine) {
        row.occupancy = occupancy(driver, &machine, &row.compiled, hints.invocations, wave);
        let blocks = asm::blocks(&row.compiled.assembly, dialect, wave);
        row.verdict = model::judge(&blocks, &machine, &Hints { wave, occupancy: row.occupancy, ..hints });
    }
    row
}

const HEAD: [&str; 29] = [
    "workload", "kernel", "groups", "local", "wave", "regs", "spill", "shared", "waves", "loop", "fma", "vector",
    "scalar", "branch", "wait", "barrier", "sh.ld", "sh.st", "gl.ld", "gl.st", "%vector", "%shared", "%cache",
    "%latency", "%alone", "%peak", "limit", "%grid", "us",
];

fn cells(row: &Row) -> Vec<String> {
    let c = &row.compiled;
    if let Some(micros) = row.micros {
        let mut cells = vec![String::new(); HEAD.len()];
        cells[0] = row.workload.clone();
        cells[1] = row.kernel.clone();
        cells[HEAD.len() - 1] = format!("{micros:.1}");
        return cells;
    }
    let mut cells = vec![
        row.workload.clone(),
        row.kernel.clone(),
        format!("{}", row.groups),
        format!("{}", row.invocations),
        c.subgroup.to_string(),
        format!("{}", registers(c)),
        format!("{}", spills(c)),
        format!("{}", shared_bytes(c)),
        format!("{:.1}", row.occupancy),
    ];
    match &row.verdict {
        Some(v) => {
            let s = &v.step;
            let percent = |x: f64| format!("{:.0}", 100.0 * x);
            let issue = v.vector.min(v.issue);
            cells.extend([
                if v.in_loop {
                    if v.inner_trips > 1.0 { format!("×{}", v.inner_trips) } else { "yes".into() }
                } else {
                    "no".into()
                },
                format!("{}", s.fmas),
                format!("{}", s.vector_count),
                format!("{}", s.scalar),
                format!("{}", s.branches),
                format!("{}", s.waits),
                format!("{}", s.barriers),
                format!("{}", s.shared_loaded),
                format!("{}", s.shared_stored),
                format!("{}", s.global_loaded),
                format!("{}", s.global_stored),
                percent(issue),
                percent(v.shared),
                percent(v.cache),
                percent(v.latency),
                percent(v.by_itself),
                percent(v.fraction()),
                v.tightest().into(),
                percent(v.on_grid()),
                format!("{:.1}", v.micros),
            ]);
        }
        None => cells.resize(HEAD.len(), "-".into()),
    }
    cells
}

fn print(rows: &[Row], tsv: bool) {
    let mut table: Vec<Vec<String>> = vec![HEAD.iter().map(|&cell| cell.to_owned()).collect()];
    table.extend(rows.iter().map(cells));
    if tsv {
        table.iter().for_each(|row| println!("{}", row.join("\t")));
        return;
    }
    let widths: Vec<usize> =
        (0..HEAD.len()).map(|at| table.iter().map(|row| row[at].chars().count()).max().unwrap_or(0)).collect();
    for row in table {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .enumerate()
            .map(|(at, (cell, &width))| if at < 2 { format!("{cell:<width$}") } else { format!("{cell:>width$}") })
            .collect();
        println!("{}", line.join(" "));
    }
}

fn dump(dir: &str, name: &str, compiled: &Compiled) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(|error| error.to_string())?;
    let mut text = format!("{} subgroup {} {:#?}\n", compiled.name, compiled.subgroup, compiled.statistics);
    for (title, body) in &compiled.texts {
        text.push_str(&format!("==== {title}\n{body}\n"));
    }
    let file = Path::new(dir).join(format!("{}.txt", name.replace(['/', ' '], "_")));
    Ok(std::fs::write(file, text)?)
}

/// A constant of a shader's preamble.
fn constant(step: &Dispatch, name: &str) -> Option<f64> {
    step.shader.constants.iter().find_map(|(key, value)| match value {
        Constant::U32(value) if *key == name => Some(f64::from(*value)),
        _ => None,
    })
}

/// What is known of the crate's kernels that stage tiles: see shaders/conv_tiled.wgsl.
fn hints_of(step: &Dispatch, local: f64, all: Option<f64>) -> Hints {
    let [x, y, z] = step.workgroups;
    let hints = Hints {
        step_fmas: None,
        total_fmas: all.map(|all| all / (f64::from(x) * f64::from(y) * f64::from(z) * local)),
        inner_trips: 1.0,
        store_ways: 1.0,
        workgroups: f64::from(x) * f64::from(y) * f64::from(z),
        invocations: local,
        wave: 0.0,
        occupancy: 0.0,
    };
    // Words of the uniform block: see ConvParams of the crate.
    let taps = constant(step, "KERNEL_ROWS").unwrap_or(1.0) * constant(step, "KERNEL_W").unwrap_or(1.0);
    let group_in = step.params.get(9).copied().map_or(1.0, f64::from);
    let has = |file: &str| step.shader.parts.iter().any(|part| part.file.ends_with(file));
    let c = |name: &str| constant(step, name).unwrap_or(1.0);
    if has("conv_tiled.wgsl") {
        let depth = 4.0 * c("FOURS");
        let each = 4.0 * c("PIXELS") * c("VECTORS");
        return Hints {
            step_fmas: Some(each * depth),
            total_fmas: Some(each * taps * (group_in / depth).ceil() * depth),
            ..hints
        };
    }
    if has("conv_register.wgsl") {
        let each = 4.0 * c("PIXELS") * c("VECTORS");
        return Hints { total_fmas: Some(each * taps * (group_in / 4.0).ceil() * 4.0), ..hints };
    }
    hints
}

fn compile_wgsl(driver: &Driver, wgsl: &str, options: &Options) -> Result<(Vec<Compiled>, f64), String> {
    let checks = Checks { robust_buffers: driver.robust, ..options.checks };
    let (words, entry) = translate::spirv(wgsl, checks, (1, 6))?;
    let local = reflect::interface(&words, &options.spec).workgroup.iter().map(|&n| f64::from(n)).product();
    Ok((driver.compile(&words, Some(&entry), &options.spec, options.wave)?, local))
}

/// A plan's launches, compiled.
struct Compilation {
    workload: String,
    plan: String,
    rows: Vec<Row>,
    /// Which of them multiplies.
    product: usize,
}

impl Compilation {
    /// The time of all launches.
    fn micros(&self) -> f64 {
        self.rows.iter().filter_map(|row| row.verdict.as_ref()).map(|verdict| verdict.micros).sum()
    }

    /// Its line of ../results.
    fn result(&self, gpu: &str, dtype: DType) -> String {
        let row = &self.rows[self.product];
        let judged = |text: fn(&Verdict) -> String| row.verdict.as_ref().map_or("-".into(), text);
        [
            gpu.to_owned(),
            dtype.to_string(),
            self.workload.clone(),
            self.plan.clone(),
            judged(|verdict| format!("{:.0}", 100.0 * verdict.fraction())),
            judged(|verdict| verdict.tightest().into()),
            registers(&row.compiled).to_string(),
            spills(&row.compiled).to_string(),
            format!("{:.1}", self.micros()),
        ]
        .join("\t")
    }
}

fn results(options: &Options) -> Result<()> {
    let driver = Driver::open(options.robust)?;
    for dtype in [DType::F32, DType::F16] {
        for compilation in compilations(&driver, &options.words[2..], dtype, options)? {
            println!("{}", compilation.result(&options.words[1], dtype));
        }
    }
    Ok(())
}

fn plans(options: &Options) -> Result<()> {
    let driver = Driver::open(options.robust)?;
    eprintln!("{}", driver.name);
    let mut rows = Vec::new();
    for compilation in compilations(&driver, &options.words[1..], options.dtype, options)? {
        let sum = (compilation.rows.len() > 1).then(|| Row {
            workload: compilation.workload.clone(),
            kernel: format!("{} in all", compilation.plan),
            micros: Some(compilation.micros()),
            ..Row::default()
        });
        rows.extend(compilation.rows);
        rows.extend(sum);
    }
    print(&rows, options.tsv);
    Ok(())
}

/// The plans for the layers of `words`: a file, and parts of names.
fn compilations(driver: &Driver, words: &[String], dtype: DType, options: &Options) -> Result<Vec<Compilation>> {
    let subgroup = options.subgroup.or((driver.subgroup.0 == driver.subgroup.1).then_some(driver.subgroup.0));
    let caps = project::caps(driver, subgroup);
    let mut all = Vec::new();
    for workload in project::workloads(&words[0], &words[1..], dtype)? {
        for (part, problem, flops) in &workload.problems {
            let name = if part.is_empty() { workload.name.clone() } else { format!("{} {part}", workload.name) };
            let plans = project::plans(problem, &caps)?;
            let count = if options.best { 1 } else { plans.len() };
            for plan in plans.iter().take(count) {
                let (mut rows, mut product) = (Vec::new(), None);
                for (at, step) in plan.steps.iter().enumerate() {
                    let kernel = if plan.steps.len() > 1 {
                        format!("{} {}/{}", plan.name(), at + 1, plan.steps.len())
                    } else {
                        plan.name()
                    };
                    if step.shader.parts.iter().any(|part| part.file == "lib/product.wgsl") {
                        product = Some(rows.len());
                    }
                    match compile_wgsl(driver, &step.shader.wgsl(), options) {
                        Ok((shaders, local)) => {
                            for compiled in shaders {
                                if let Some(dir) = &options.dump {
                                    dump(dir, &format!("{name} {kernel}"), &compiled)?;
                                }
                                rows.push(row(driver, &name, &kernel, compiled, {
                                    // A launch by itself does all there is to do.
                                    let all = (plan.steps.len() == 1).then_some(*flops as f64 / 2.0);
                                    hints_of(step, local, all)
                                }));
                            }
                        }
                        Err(error) => eprintln!("{name} {kernel}: {error}"),
                    }
                }
                // A launch that no compiler takes leaves no row.
                if let Some(last) = rows.len().checked_sub(1) {
                    let (workload, product) = (name.clone(), product.unwrap_or(0).min(last));
                    all.push(Compilation { workload, plan: plan.name(), rows, product });
                }
            }
        }
    }
    Ok(all)
}

fn shaders(options: &Options) -> Result<()> {
    let driver = Driver::open(options.robust)?;
    eprintln!("{}", driver.name);
    let mut rows = Vec::new();
    for path in &options.words[1..] {
        let (all, local) = if path.ends_with(".spv") {
            let bytes = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
            let words: Vec<u32> = bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            let about = reflect::interface(&words, &options.spec);
            if options.spec.is_empty() && !about.constants.is_empty() {
                eprintln!("{path}: specialization constants {:?}", about.constants);
            }
            (
                driver.compile(&words, options.entry.as_deref(), &options.spec, options.wave)?,
                about.workgroup.iter().map(|&n| f64::from(n)).product(),
            )
        } else {
            let wgsl = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
            compile_wgsl(&driver, &wgsl, options)?
        };
        let stem = Path::new(path).file_stem().map_or(String::new(), |stem| stem.to_string_lossy().into_owned());
        let label = options.label.clone().unwrap_or(stem);
        for compiled in all {
            if let Some(dir) = &options.dump {
                dump(dir, &label, &compiled)?;
            }
            let hints = Hints {
                step_fmas: options.step,
                total_fmas: options.total,
                inner_trips: options.inner,
                store_ways: options.ways,
                workgroups: options.groups.max(1.0),
                invocations: options.local.unwrap_or(local),
                wave: 0.0,
                occupancy: 0.0,
            };
            rows.push(row(&driver, "-", &label, compiled, hints));
        }
    }
    print(&rows, options.tsv);
    Ok(())
}

fn device(options: &Options) -> Result<()> {
    let driver = Driver::open(options.robust)?;
    println!(
        "{}\nvendor {:#x}, subgroups {} to {}, {} bytes of workgroup memory, {} invocations, f16 matrices {:?}, robust buffers {}",
        driver.name,
        driver.vendor,
        driver.subgroup.0,
        driver.subgroup.1,
        driver.workgroup_storage,
        driver.invocations,
        driver.cooperative,
        driver.robust
    );
    Ok(())
}

fn main() -> std::process::ExitCode {
    let run = || -> Result<()> {
        let options = options()?;
        match (options.words.first().map(String::as_str), options.words.len()) {
            (Some("device"), _) => device(&options),
            (Some("plans"), 2..) => plans(&options),
            (Some("results"), 3..) => results(&options),
            (Some("shader"), 2..) => shaders(&options),
            _ => Err(USAGE.into()),
        }
    };
    match run() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            std::process::ExitCode::FAILURE
        }
    }
}
