//! How long the device takes: by its own clock where it has one (timestamp queries), else from submission to
//! completion.
//!
//! The host's clock shows when a submission is done, which on a short launch is mostly the cost of submitting it. A
//! device with timestamp queries writes down its own clock before the first launch and after the last. The choice of
//! plans (`tune.rs`), the profile of a model and the benches measure by this.

use std::time::Duration;

use super::{BufferBinding, Commands, DeviceBuffer, Gpu};
use crate::Result;

impl Gpu {
    /// Whether the device can tell how long it took; where it cannot, times are those that the host has waited.
    pub fn has_clock(&self) -> bool {
        self.device().features().contains(wgpu::Features::TIMESTAMP_QUERY)
    }

    /// The time that what `record` adds takes, by the device's clock from the start of the first launch to the end of the
    /// last, or, where it has none, from submission to completion. Nothing recorded takes no time.
    ///
    /// A first time holds what drivers put off until a shader's first launch, compiling it for example.
    ///
    /// # Errors
    /// Those of `record`; [`Error::Gpu`](crate::Error::Gpu) where the device refuses or was lost.
    ///
    /// ```no_run
    /// use wgpu_conv::{Gpu, Tensor, layers::Conv2D};
    ///
    /// let gpu = Gpu::new()?;
    /// let layer = Conv2D::new(32, 3).build(&gpu, [1, 56, 56, 64])?;
    /// let input = Tensor::from_slice(&gpu, [1, 56, 56, 64], &vec![0.5f32; 56 * 56 * 64])?;
    /// layer.call(&input)?;
    /// println!("{:?}", gpu.time(|commands| layer.record(commands, &input).map(drop))?);
    /// # Ok::<(), wgpu_conv::Error>(())
    /// ```
    pub fn time(&self, record: impl FnOnce(&mut Commands) -> Result<()>) -> Result<Duration> {
        let mut commands = Commands::new(self);
        if !self.has_clock() {
            record(&mut commands)?;
            self.synchronize()?;
            let start = std::time::Instant::now();
            commands.submit()?;
            self.synchronize()?;
            return Ok(start.elapsed());
        }
        let descriptor = wgpu::QuerySetDescriptor { label: Some("time"), ty: wgpu::QueryType::Timestamp, count: 2 };
        let queries = self.guarded("time", || self.device().create_query_set(&descriptor))?;
        commands.clock(queries.clone());
        record(&mut commands)?;
        if !commands.is_timed() {
            commands.submit()?;
            return Ok(Duration::ZERO);
        }
        let descriptor = wgpu::BufferDescriptor {
            label: Some("time"),
            size: 16,
            usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
            mapped_at_creation: false,
        };
        let buffer = self.guarded("time", || self.device().create_buffer(&descriptor))?;
        commands.resolve(&queries, &buffer)?;
        let source = BufferBinding { storage: DeviceBuffer::foreign(buffer), offset: 0, size: 16 };
        let bytes = self.read_after(commands, &[source])?.swap_remove(0);
        let [start, end] = [0, 8].map(|at| bytes[at..at + 8].try_into().map_or(0, u64::from_ne_bytes));
        let nanoseconds = end.saturating_sub(start) as f64 * f64::from(self.queue().get_timestamp_period());
        Ok(Duration::from_nanos(nanoseconds as u64))
    }
}
