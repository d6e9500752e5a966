//! The crate's own plans for the layers of `benches/shapes`.

use wgpu_conv::plan::{Caps, Plan, Problem, SeparableProblem};
use wgpu_conv::{DType, candidates};

use crate::Result;
use crate::case::{Case, FILES};
use crate::driver::Driver;

/// One layer.
pub struct Workload {
    pub name: String,
    /// Its problem, with the operations; three where a separable convolution is computed in one pass or one by one.
    pub problems: Vec<(String, Problem, u64)>,
}

/// What a GPU of these days has, with subgroups of `subgroup` invocations where all are of one size.
pub fn caps(driver: &Driver, subgroup: Option<u32>) -> Caps {
    let upper = driver.name.to_uppercase();
    let beside_a_processor =
        ["SKL", "KBL", "ICL", "TGL", "ADL", "MTL", "LNL", "GFX115", "RENOIR", "VANGOGH", "PHOENIX"];
    Caps {
        f16: true,
        u64: true,
        subgroup,
        cooperative_f16: driver.cooperative,
        // As `Gpu` takes them from vendor and type, the latter of which such a driver may not say.
        cores: match driver.vendor {
            0x5143 => 4,
            _ if beside_a_processor.iter().any(|part| upper.contains(part)) => 8,
            _ => Caps::FLOOR.cores,
        },
        max_invocations: driver.invocations.min(1024),
        workgroup_storage: driver.workgroup_storage.min(32 << 10),
        max_binding: 1 << 31,
        max_buffer: 1 << 32,
        binding_alignment: 16,
        ..Caps::FLOOR
    }
}

/// The layers of a file of `benches/shapes`, those whose name has one of `only` in it or all.
pub fn workloads(file: &str, only: &[String], dtype: DType) -> Result<Vec<Workload>> {
    let files = || FILES.map(|(name, _)| name).join(", ");
    let found = FILES.into_iter().find(|(name, _)| *name == file);
    let cases = Case::read(found.ok_or_else(|| format!("{file} is none of {}", files()))?)?;
    let wanted = |case: &Case| only.is_empty() || only.iter().any(|part| case.short_name().contains(part));
    cases.into_iter().filter(wanted).map(|case| workload(&case, dtype)).collect()
}

fn workload(case: &Case, dtype: DType) -> Result<Workload> {
    let mut convolutions = case.config()?.convolutions(case.input.clone())?;
    for problem in &mut convolutions {
        problem.dtype = dtype;
    }
    let flops: Vec<u64> = convolutions.iter().map(|problem| problem.geometry.flops()).collect();
    let mut problems = Vec::new();
    if let [first, second] = convolutions[..]
        && let Some(both) = SeparableProblem::new(first, second)
    {
        problems.push(("one pass".into(), Problem::Separable(both), flops.iter().sum()));
    }
    let parts = if convolutions.len() > 1 { ["depthwise", "pointwise"] } else { ["", ""] };
    for ((problem, flops), part) in convolutions.into_iter().zip(flops).zip(parts) {
        problems.push((part.to_owned(), Problem::Conv(problem), flops));
    }
    Ok(Workload { name: case.short_name().to_owned(), problems })
}

/// Its plans, best guess first.
pub fn plans(problem: &Problem, caps: &Caps) -> Result<Vec<Plan>> {
    Ok(candidates(problem, caps)?)
}
