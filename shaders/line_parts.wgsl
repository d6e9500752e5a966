// A tree reduction over several launches, for lines so long that one workgroup would leave a GPU idle: the mean of a
// large image, the largest of a million scores.
//
// A statistic of every line of [outer, spread, groups, extent], in parts: a line (o, g) has the count = spread·extent
// values of all s and e, and part p of it those numbered p, p + parts, p + 2·parts, … One part per invocation:
//
//   output[(first + line)·parts + p] = finish(sum, the largest or the smallest of term(x_i))
//
// So no invocation runs long, and neighbours read neighbours. A second launch takes the parts as its lines, until there
// is one.
//
//   TERM    VALUE x,  SQUARE (x − shift)²,  MAGNITUDE |x|,  EXPONENTIAL e^(x − shift),
//           LARGEST and SMALLEST x, NaN where one is
//   FINISH  NOTHING y,  MEAN y / total,  ROOT √y,  LOGARITHM ln y,  SHIFTED_LOGARITHM shift + ln y,
//           FINITE y, or 0 where that is infinite
//
// Constants: DENSE tells whether the values of a line are neighbours, rather than those of different lines.
// Memory: every value is read once.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> input: array<Elem>;
@group(0) @binding(2) var<storage, read_write> output: array<Out>;

const VALUE: u32 = 0u;
const SQUARE: u32 = 1u;
const MAGNITUDE: u32 = 2u;
const EXPONENTIAL: u32 = 3u;
const LARGEST: u32 = 4u;
const SMALLEST: u32 = 5u;

/// Values of a run.
const RUN: u32 = 32u;

const NOTHING: u32 = 0u;
const MEAN: u32 = 1u;
const ROOT: u32 = 2u;
const LOGARITHM: u32 = 3u;
const SHIFTED_LOGARITHM: u32 = 4u;
const FINITE: u32 = 5u;

fn term(x: f32, shift: f32) -> f32 {
    switch TERM {
        case SQUARE {
            return (x - shift) * (x - shift);
        }
        case MAGNITUDE {
            return abs(x);
        }
        case EXPONENTIAL {
            return exp(x - shift);
        }
        case SMALLEST {
            return -x;
        }
        default {
            return x;
        }
    }
}

fn finish(y: f32, shift: f32) -> f32 {
    switch FINISH {
        case MEAN {
            return y / f32(params.total);
        }
        case ROOT {
            return sqrt(y);
        }
        case LOGARITHM {
            return logarithm(y);
        }
        case SHIFTED_LOGARITHM {
            return shift + logarithm(y);
        }
        case FINITE {
            return finite(y);
        }
        default {
            return y;
        }
    }
}

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let item = workgroup_index(workgroup, workgroups) * WORKGROUP + invocation;
    if item >= params.items {
        return;
    }
    let lines = params.items / params.parts;
    let line = select(item % lines, item / params.parts, DENSE);
    let part = select(item / lines, item % params.parts, DENSE);
    let count = params.spread * params.extent;
    let group = line % params.groups;
    let first = (line / params.groups * params.spread * params.groups + group) * params.extent;
    let gap = (params.groups - 1u) * params.extent;
    let shift = shift_of(line);

    // Values are summed in runs, and then the runs: the error grows with both lengths, not with their product.
    var total = 0.0;
    var run = 0.0;
    var filled = 0u;
    if TERM == LARGEST || TERM == SMALLEST {
        // The first value of the part stands in for those that it has none of.
        total = term(f32(input[first + part + part / params.extent * gap]), shift);
    }
    for (var i = part; i < count; i += params.parts) {
        let x = term(f32(input[first + i + i / params.extent * gap]), shift);
        if TERM == LARGEST || TERM == SMALLEST {
            total = larger(total, x);
        } else {
            run += x;
            filled++;
            if filled == RUN {
                total += run;
                run = 0.0;
                filled = 0u;
            }
        }
    }
    if TERM != LARGEST && TERM != SMALLEST {
        total += run;
    }
    if TERM == SMALLEST {
        total = -total;
    }
    output[(params.first + line) * params.parts + part] = Out(finish(total, shift));
}
