//! Lines of values, each computed by one invocation or by a workgroup together.
//!
//! A softmax over 10 classes of 100 000 pixels is best done with an invocation for each line; one over 1000 classes of
//! a single image needs a workgroup, whose invocations take a share each and then add their shares up in workgroup
//! memory (parallel reduction). A `Team` is whichever of the two computes a line, as a part of WGSL and workgroup
//! counts. `along_axis` and `normalize` have it in common.

use super::WORKGROUP;
use crate::Result;
use crate::plan::{Caps, Part, part};

/// Values of a line below which a workgroup is not worth its barriers.
const SHORT: u64 = 32;
/// Lines by which invocations of their own fill a device.
const MANY: u64 = 1 << 14;

/// Who computes a line.
pub(super) struct Team {
    /// The WGSL.
    pub(super) part: Part,
    /// Whether a workgroup takes a line together.
    shared: bool,
    /// Invocations of a workgroup.
    pub(super) workgroup: u32,
    /// Workgroups of the launch.
    pub(super) workgroups: [u32; 3],
    /// The end of the plan's name.
    pub(super) suffix: String,
}

impl Team {
    /// How many share a line.
    pub(super) fn members(&self) -> u64 {
        if self.shared { self.workgroup.into() } else { 1 }
    }

    /// Turns of the loop by which they add up what each has found.
    pub(super) fn turns(&self) -> u64 {
        if self.shared { u64::from(self.workgroup.ilog2() + 1) } else { 0 }
    }

    /// An invocation for each of `lines`.
    pub(super) fn alone(lines: u64, caps: &Caps) -> Result<Vec<Self>> {
        Ok(vec![Self {
            part: part!("lib/team_alone.wgsl"),
            shared: false,
            workgroup: WORKGROUP,
            workgroups: super::workgroups(lines, caps)?,
            suffix: format!("{WORKGROUP}"),
        }])
    }

    /// The teams for `lines` of `length` values, best guess first; `dense` tells whether the values of a line are
    /// neighbours, rather than those of different lines.
    ///
    /// A processor pays for every barrier. Other adapters want many invocations, and neighbours that read neighbours.
    pub(super) fn choices(lines: u64, length: u64, dense: bool, caps: &Caps) -> Result<Vec<Self>> {
        let mut teams = Self::alone(lines, caps)?;
        let size = if length > 1024 { caps.max_invocations.min(256) } else { WORKGROUP };
        if let (true, Ok(workgroups)) = (length >= SHORT, caps.fold(lines)) {
            let shared = Self {
                part: part!("lib/team_workgroup.wgsl"),
                shared: true,
                workgroup: size,
                workgroups,
                suffix: format!("{size}_shared"),
            };
            let first = !caps.software && (dense || lines < MANY);
            teams.insert(if first { 0 } else { 1 }, shared);
        }
        Ok(teams)
    }
}
