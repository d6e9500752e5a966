//! `--tune`: kernels chosen by measurement.

use std::path::PathBuf;

use clap::Args;
use wgpu_conv::{Error, Gpu, Tuning};

use crate::progress::Detail;

/// The argument of commands that compute.
#[derive(Args)]
pub struct Tune {
    /// Take the kernels that are fastest here: measured once for each convolution, and kept in FILE for the next time and
    /// for other models; an adapter passes over what another one measured
    #[arg(long, value_name = "FILE")]
    tune: Option<PathBuf>,
}

impl Tune {
    /// Has `gpu` choose so, from what the file knows, and keep what it measures there as it goes.
    pub fn begin(&self, gpu: &Gpu) -> Result<(), Error> {
        let Some(file) = &self.tune else { return Ok(()) };
        gpu.keep_tuning(file)?;
        gpu.set_tuning(Tuning::Measure);
        Ok(())
    }

    /// How much has been measured on `gpu` since, to be shown.
    pub fn detail(&self, gpu: &Gpu) -> Option<Detail> {
        self.tune.as_ref()?;
        let (gpu, known) = (gpu.clone(), gpu.measurements().len());
        Some(Box::new(move || {
            let count = gpu.measurements().len().saturating_sub(known);
            format!("the kernels of {count} convolution(s) measured")
        }))
    }

    /// Writes once more what was measured, so that the command fails where the file could not be written on the way.
    pub fn end(&self, gpu: &Gpu) -> Result<(), Error> {
        self.tune.as_ref().map_or(Ok(()), |file| gpu.save_tuning(file))
    }
}
