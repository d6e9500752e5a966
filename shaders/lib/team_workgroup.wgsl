// One of two ways to compute a line of values: for few and long lines. Each invocation takes a share, and the shares
// are added up in workgroup memory (parallel reduction). team_alone.wgsl is the other.
//
// The team that computes one line together: a workgroup.
//
// Constants: WORKGROUP is a power of two. Memory: WORKGROUP f32 of the workgroup's.

const TEAM: u32 = WORKGROUP;

var<workgroup> shares: array<f32, WORKGROUP>;

/// The line of an invocation, and its place in the team.
fn line_of(workgroup: u32, invocation: u32) -> u32 {
    return workgroup;
}

fn member_of(invocation: u32) -> u32 {
    return invocation;
}

/// The sum over the team, the same for every member.
fn team_sum(member: u32, share: f32) -> f32 {
    // What an earlier call left may still be read.
    workgroupBarrier();
    shares[member] = share;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if member < half {
            shares[member] += shares[member + half];
        }
    }
    return workgroupUniformLoad(&shares[0]);
}

/// The largest value of the team, the same for every member.
fn team_largest(member: u32, share: f32) -> f32 {
    workgroupBarrier();
    shares[member] = share;
    for (var half = WORKGROUP / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if member < half {
            shares[member] = larger(shares[member], shares[member + half]);
        }
    }
    return workgroupUniformLoad(&shares[0]);
}
