//! Figures for people and for machines.

use std::collections::HashMap;

use serde_json::{Value, json};
use wgpu_conv::Gpu;

use crate::Result;
use crate::case::Kind;
use crate::clock::{Clock, Times};
use crate::limits::Limits;
use crate::measure::Row;
use crate::network::Network;

const MIB: f64 = (1 << 20) as f64;

/// Milliseconds on the wall of the fastest other library, by case.
pub struct Peers(HashMap<&'static str, f64>);

impl Peers {
    /// The file `benches/peers.txt`, of which nothing can be compared with times of the device's own clock.
    pub fn read(clock: Clock) -> Result<Self> {
        if let Clock::Device = clock {
            return Ok(Self(HashMap::new()));
        }
        let rows = include_str!("../peers.txt").lines().filter(|line| !line.starts_with('#'));
        let row = |line: &'static str| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?.parse().ok()?))
        };
        rows.map(|line| row(line).ok_or_else(|| format!("peers.txt: {line}").into())).collect::<Result<_>>().map(Self)
    }

    /// Theirs over ours, for a case of the workloads.
    fn ratio(&self, row: &Row) -> Option<f64> {
        let name = row.case.name.strip_prefix("workloads/")?;
        Some(self.0.get(name)? / row.outcome.as_ref().ok()?.times.median())
    }

    fn network_ratio(&self, network: &Network) -> Option<f64> {
        Some(self.0.get("mobilenet_v1")? / network.times.median())
    }
}

/// A number in about four digits.
fn short(number: f64) -> String {
    match number {
        x if x < 9.9995 => format!("{x:.3}"),
        x if x < 99.995 => format!("{x:.2}"),
        x if x < 999.95 => format!("{x:.1}"),
        x => format!("{x:.0}"),
    }
}

/// A plan without what all of them begin with.
fn short_plan(plan: &str) -> &str {
    plan.strip_prefix("conv_").unwrap_or(plan)
}

fn joined(plans: &[String]) -> String {
    plans.iter().map(|plan| short_plan(plan)).collect::<Vec<_>>().join(" + ")
}

pub fn print_adapter(gpu: &Gpu, clock: Clock, calls: u32) {
    let info = gpu.info();
    println!("{}, {:?}; {} {}", info.name, info.backend, info.driver, info.driver_info);
    let divided = if calls == 1 { String::new() } else { format!(" of {calls} calls, over {calls}") };
    match clock {
        Clock::Device => println!("Times are by the device's clock, from the first launch to the last{divided}."),
        Clock::Wall => println!("Times are wall time, from recording one submission{divided} to its completion."),
        Clock::Processor(cores) => {
            println!(
                "Times are of all threads over {cores} cores, from recording one submission{divided} to its completion."
            )
        }
    }
}

pub fn print_limits(limits: &Limits) {
    let variants: Vec<_> =
        limits.arithmetic.iter().map(|(name, peak)| format!("{name} {}", short(peak / 1e9))).collect();
    println!("Limits: GFLOP/s of multiply-adds in registers, by type × chains:");
    println!("          {};", variants.join(", "));
    println!(
        "        GB/s read and written by a copy of {} MiB: {}; ms of an empty submission: {}.",
        limits.copied >> 20,
        short(limits.copy / 1e9),
        short(limits.submission)
    );
}

pub fn print_network(network: &Network, peers: &Peers) {
    let Network { opened, built, first, times, steady: [buffers, pipelines, submissions], .. } = network;
    println!("MobileNetV1 1.0/224, batch 1, bias and relu6");
    println!(
        "  first output {first:.2} s after the start of the process: opening {opened:.2}, building {:.2}, calling {:.2} with \
         {} pipelines",
        built - opened,
        first - built,
        network.compiled
    );
    println!(
        "  forward {} ms ({}..{}), {:.1} GFLOP/s{}; {:.1} MiB; deviation {:.1e}{}",
        short(times.median()),
        short(times.quantile(0.25)),
        short(times.quantile(0.75)),
        network.gflops(),
        peers.network_ratio(network).map(|ratio| format!(", bar {ratio:.2}")).unwrap_or_default(),
        network.memory as f64 / MIB,
        network.deviation,
        if network.is_right() { "" } else { ": WRONG" }
    );
    println!("  a later call makes {buffers} buffers, {pipelines} pipelines and {submissions} submissions");
}

pub fn print_heading(file: &str) {
    println!(
        "\n{file:<23} {:>2} {:>6} {:>13} {:>6} {:>5} {:>5} {:>6} {:>6} {:>5} {:>5} plan",
        "n", "ms", "quartiles", "GF/s", "GB/s", "limit", "trip", "first", "MiB", "bar"
    );
}

pub fn print_row(row: &Row, peers: &Peers) {
    let plans: Vec<_> = row.plans.iter().map(|plan| short_plan(plan)).collect();
    let name = row.case.short_name();
    match &row.outcome {
        Err(why) => println!("{name:<23} WRONG {}: {why}", joined(&row.plans)),
        Ok(figures) => {
            let first = format!("{:.0}", figures.first);
            println!(
                "{name:<23} {:>2} {:>6} {:>13} {:>6} {:>5.1} {:>4.0}% {:>6} {:>6} {:>5.1} {:>5} {}",
                row.case.count,
                short(figures.times.median()),
                format!("{}..{}", short(figures.times.quantile(0.25)), short(figures.times.quantile(0.75))),
                short(figures.gflops()),
                figures.gbytes(),
                figures.fraction() * 100.0,
                short(figures.round_trip),
                if figures.compiled == 0 { format!("({first})") } else { first },
                figures.memory as f64 / MIB,
                peers.ratio(row).map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
                plans.join(&format!("\n{:93}", "")),
            );
        }
    }
}

/// What the rows of a file come to.
pub fn print_total(rows: &[Row]) {
    let chosen = || rows.iter().filter(|row| row.chosen);
    let total = |of: fn(&Row) -> Option<f64>| chosen().filter_map(of).sum::<f64>();
    let count: u32 = chosen().map(|row| row.case.count).sum();
    let time = total(|row| Some(f64::from(row.case.count) * row.outcome.as_ref().ok()?.times.median()));
    let floor = total(|row| Some(f64::from(row.case.count) * row.outcome.as_ref().ok()?.floor));
    println!("all {count} layers {:>15} ms, {:.0}% of the limit", short(time), floor / time * 100.0);
}

/// What the targets of the project ask for, over all rows.
pub fn print_summary(rows: &[Row], peers: &Peers) {
    let chosen = || rows.iter().filter(|row| row.chosen);
    let bars: Vec<_> = chosen().filter_map(|row| Some((row, peers.ratio(row)?))).collect();
    println!();
    print_ratios("bar", bars.iter().map(|(row, ratio)| (row.case.name.clone(), *ratio)).collect());
    let fraction = |row: &Row| Some((row.case.name.clone(), row.outcome.as_ref().ok()?.fraction()));
    let dense = |row: &&Row| {
        let heavy = row.outcome.as_ref().is_ok_and(|figures| figures.flops >= 100_000_000);
        row.case.kind == Kind::Conv && row.case.groups == 1 && heavy
    };
    print_ratios("limit, dense from 100 MFLOP", chosen().filter(dense).filter_map(fraction).collect());
    let depthwise = |row: &&Row| row.case.kind == Kind::Depthwise;
    print_ratios("limit, depthwise", chosen().filter(depthwise).filter_map(fraction).collect());
}

/// Where another candidate is faster than the one that the library chooses, of cases that several were measured for.
pub fn print_choices(rows: &[Row]) {
    let median = |row: &Row| row.outcome.as_ref().map_or(f64::INFINITY, |figures| figures.times.median());
    let mut ratios = Vec::new();
    let mut slower = Vec::new();
    for candidates in rows.chunk_by(|a, b| a.case.name == b.case.name).filter(|candidates| candidates.len() > 1) {
        let chosen = candidates.iter().find(|row| row.chosen);
        let fastest = candidates.iter().min_by(|a, b| median(a).total_cmp(&median(b)));
        let (Some(chosen), Some(fastest)) = (chosen, fastest) else { continue };
        ratios.push((chosen.case.name.clone(), median(fastest) / median(chosen)));
        if !fastest.chosen {
            slower.push((chosen, fastest));
        }
    }
    if ratios.is_empty() {
        return;
    }
    println!("\nNot the fastest is chosen for {} of {} cases", slower.len(), ratios.len());
    for (chosen, fastest) in slower {
        let [first, second] = [chosen, fastest].map(|row| format!("{} {}", short(median(row)), joined(&row.plans)));
        println!("  {:<40} {:>5.2} {first}, fastest {second}", chosen.case.name, median(fastest) / median(chosen));
    }
    print_ratios("fastest over chosen", ratios);
    print_passes(rows);
}

/// The fastest of the plans that take a separable convolution in one pass, beside the fastest of those that do not.
fn print_passes(rows: &[Row]) {
    let separable: Vec<_> = rows.iter().filter(|row| row.case.kind == Kind::Separable).collect();
    let mut ratios = Vec::new();
    for candidates in separable.chunk_by(|a, b| a.case.name == b.case.name) {
        let fastest = |passes: usize| {
            let times = candidates.iter().filter(|row| row.plans.len() == passes);
            let times = times.filter_map(|row| Some((row.outcome.as_ref().ok()?.times.median(), &row.plans)));
            times.min_by(|a, b| a.0.total_cmp(&b.0))
        };
        let (Some((one, in_one)), Some((two, in_two))) = (fastest(1), fastest(2)) else { continue };
        let name = &candidates[0].case.name;
        let [one_plan, two_plans] = [in_one, in_two].map(|plans| joined(plans));
        println!("  {name:<40} {:>5.2} {} {two_plans}, in one pass {} {one_plan}", one / two, short(two), short(one));
        ratios.push((name.clone(), one / two));
    }
    print_ratios("one pass over two", ratios);
}

/// The geometric mean and the least of `ratios`.
fn print_ratios(what: &str, ratios: Vec<(String, f64)>) {
    let Some((least, value)) = ratios.iter().min_by(|a, b| a.1.total_cmp(&b.1)) else { return };
    let mean = (ratios.iter().map(|(_, ratio)| ratio.ln()).sum::<f64>() / ratios.len() as f64).exp();
    println!("{what}: geometric mean of {} cases {mean:.2}, least {value:.2} ({least})", ratios.len());
}

/// Every figure.
pub fn json(gpu: &Gpu, clock: Clock, calls: u32, limits: &Limits, network: Option<&Network>, rows: &[Row]) -> Value {
    let info = gpu.info();
    let arithmetic: HashMap<_, _> = limits.arithmetic.iter().map(|(name, peak)| (name, peak / 1e9)).collect();
    // Least, quartiles, most.
    let spread = |times: &Times| [0.0, 0.25, 0.5, 0.75, 1.0].map(|part| times.quantile(part));
    let network = network.map(|network| {
        json!({
            "case": Network::NAME,
            "right": network.is_right(),
            "deviation": network.deviation,
            "ms": network.times.median(),
            "quartiles_ms": spread(&network.times),
            "opened_s": network.opened,
            "built_s": network.built,
            "first_s": network.first,
            "compiled": network.compiled,
            "steady": { "buffers": network.steady[0], "pipelines": network.steady[1], "submissions": network.steady[2] },
            "memory_bytes": network.memory,
        })
    });
    let row = |row: &Row| {
        let name = json!({ "case": row.case.name, "count": row.case.count, "plans": row.plans, "chosen": row.chosen });
        let figures = match &row.outcome {
            Err(why) => json!({ "wrong": why }),
            Ok(figures) => json!({
                "ms": figures.times.median(),
                "quartiles_ms": spread(&figures.times),
                "flops": figures.flops,
                "bytes": figures.bytes,
                "fraction_of_limit": figures.fraction(),
                "round_trip_ms": figures.round_trip,
                "first_ms": figures.first,
                "compiled": figures.compiled,
                "memory_bytes": figures.memory,
            }),
        };
        let (Value::Object(mut name), Value::Object(figures)) = (name, figures) else { return Value::Null };
        name.extend(figures);
        Value::Object(name)
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "adapter": info.name,
        "backend": format!("{:?}", info.backend),
        "driver": format!("{} {}", info.driver, info.driver_info),
        "clock": clock.name(),
        "calls": calls,
        "limits": {
            "gflops": arithmetic,
            "peak_gflops": limits.peak() / 1e9,
            "copy_gbytes": limits.copy / 1e9,
            "submission_ms": limits.submission,
        },
        "network": network,
        "rows": rows.iter().map(row).collect::<Vec<_>>(),
    })
}

/// Earlier times over these, for each case that both have: by the same plans, or else by the chosen ones.
pub fn print_comparison(old: &Value, new: &Value) {
    println!("\nEarlier times over these");
    for fact in ["adapter", "driver", "clock", "calls"] {
        if old[fact] != new[fact] {
            println!("  {fact} was {}, is {}: the ratios say nothing about the library", old[fact], new[fact]);
        }
    }
    for limit in ["peak_gflops", "copy_gbytes"] {
        if let (Some(before), Some(now)) = (old["limits"][limit].as_f64(), new["limits"][limit].as_f64()) {
            println!("  {limit} was {}, is {}", short(before), short(now));
        }
    }
    let rows = |value: &Value| -> Vec<Value> {
        let network = Some(value["network"].clone()).filter(|network| !network.is_null());
        network.into_iter().chain(value["rows"].as_array().cloned().unwrap_or_default()).collect()
    };
    let earlier = rows(old);
    let mut ratios = Vec::new();
    for row in rows(new) {
        let same = |key: &str, other: &&Value| other[key] == row[key];
        let of_case = || earlier.iter().filter(|other| same("case", other));
        let chosen = row["chosen"].as_bool() == Some(true);
        let before = of_case()
            .find(|other| same("plans", other))
            .or_else(|| of_case().find(|other| chosen && same("chosen", other)));
        let Some((before, now)) = before.and_then(|before| Some((before["ms"].as_f64()?, row["ms"].as_f64()?))) else {
            continue;
        };
        let case = row["case"].as_str().unwrap_or_default().to_owned();
        let plans: Vec<_> =
            row["plans"].as_array().into_iter().flatten().filter_map(Value::as_str).map(short_plan).collect();
        println!("  {case:<40} {:>7} {:>7} {:>6.2} {}", short(before), short(now), before / now, plans.join(" + "));
        ratios.push((case, before / now));
    }
    print_ratios("earlier over now", ratios);
}
