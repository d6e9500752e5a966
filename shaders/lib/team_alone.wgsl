// One of two ways to compute a line of values, such as the classes that a softmax is over: for many or short lines.
// team_workgroup.wgsl is the other.
//
// The team that computes one line together: a single invocation.

const TEAM: u32 = 1u;

/// The line of an invocation, and its place in the team.
fn line_of(workgroup: u32, invocation: u32) -> u32 {
    return workgroup * WORKGROUP + invocation;
}

fn member_of(invocation: u32) -> u32 {
    return 0u;
}

/// The sum over the team, the same for every member.
fn team_sum(member: u32, share: f32) -> f32 {
    return share;
}

/// The largest value of the team, the same for every member.
fn team_largest(member: u32, share: f32) -> f32 {
    return share;
}
