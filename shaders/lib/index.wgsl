// Devices limit the workgroups along one dimension of a launch, so a long row of them is folded into three dimensions;
// this unfolds it.
//
// Where an invocation stands among all launched.

/// The number of this workgroup among all launched, whatever the fold.
fn workgroup_index(workgroup: vec3<u32>, workgroups: vec3<u32>) -> u32 {
    return workgroup.x + workgroups.x * (workgroup.y + workgroups.y * workgroup.z);
}
