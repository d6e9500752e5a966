//! From the device back to the host.
//!
//! The host cannot read a tensor's buffer. Its bytes are copied to a staging buffer, which is mapped into the host's
//! memory when the device is done, read, unmapped, and given back to the pool. The copy is submitted along with the
//! commands that compute the values. Reading either blocks or is a future. A thread of its own polls the device for
//! futures; in a browser, where nothing can block, the browser does.

use std::sync::Arc;
#[cfg(not(target_arch = "wasm32"))]
use std::sync::mpsc::{Sender, channel};
#[cfg(not(target_arch = "wasm32"))]
use std::thread::JoinHandle;

use futures_intrusive::channel::shared::{OneshotReceiver, oneshot_channel};

use super::{BufferBinding, Commands, DeviceBuffer, Gpu};
use crate::{Error, Result};

/// A readback on its way: the copy has been submitted and the mapping asked for.
///
/// However it ends, the buffer is unmapped before the pool has it back.
struct Pending {
    gpu: Gpu,
    staging: Arc<DeviceBuffer>,
    size: u64,
    mapped: OneshotReceiver<Result<(), wgpu::BufferAsyncError>>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        // A mapping that failed leaves nothing to unmap, which is no error of this readback.
        let _ = self.gpu.guarded("readback", || self.staging.buffer().unmap());
    }
}

impl Gpu {
    /// The bytes of `source`, after everything submitted before.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn read(&self, source: &BufferBinding) -> Result<Vec<u8>> {
        Ok(self.read_after(Commands::new(self), std::slice::from_ref(source))?.swap_remove(0))
    }

    /// Submits `commands` and returns the bytes of each of `sources` after them, in one submission.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn read_after(&self, commands: Commands, sources: &[BufferBinding]) -> Result<Vec<Vec<u8>>> {
        let (pending, submission) = self.begin(commands, sources)?;
        self.wait(submission)?;
        pending.into_iter().map(|pending| pollster::block_on(self.finish(pending))).collect()
    }

    /// The bytes of `source`, after everything submitted before, without blocking.
    pub(crate) async fn read_async(&self, source: &BufferBinding) -> Result<Vec<u8>> {
        Ok(self.read_after_async(Commands::new(self), std::slice::from_ref(source)).await?.swap_remove(0))
    }

    /// [`read_after`](Self::read_after) without blocking.
    pub(crate) async fn read_after_async(&self, commands: Commands, sources: &[BufferBinding]) -> Result<Vec<Vec<u8>>> {
        self.reading_after(commands, sources)?.await
    }

    /// Submits `commands`, at once, and gives the bytes of each of `sources` after them when it is awaited, whatever is submitted
    /// until then.
    pub(crate) fn reading_after(
        &self,
        commands: Commands,
        sources: &[BufferBinding],
    ) -> Result<impl Future<Output = Result<Vec<Vec<u8>>>> + use<>> {
        let (all, submission) = self.begin(commands, sources)?;
        #[cfg(not(target_arch = "wasm32"))]
        self.poll_until(submission)?;
        #[cfg(target_arch = "wasm32")]
        drop(submission);
        let gpu = self.clone();
        Ok(async move {
            let mut read = Vec::with_capacity(all.len());
            for pending in all {
                read.push(gpu.finish(pending).await?);
            }
            Ok(read)
        })
    }

    /// Blocks until everything submitted so far has run.
    ///
    /// # Errors
    /// [`Error::Gpu`] where the device was lost.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn synchronize(&self) -> Result<()> {
        self.wait(None)
    }

    #[cfg(not(target_arch = "wasm32"))]
    fn wait(&self, submission_index: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let waited = self.device().poll(wgpu::PollType::Wait { submission_index, timeout: None });
        // A lost device has nothing to wait for, or does not know the submission.
        self.check_present("waiting for the device")?;
        waited.map(drop).map_err(|error| Error::gpu("waiting for the device", error))
    }

    /// Has the device polled until `submission` has run, by a thread of its own: the callback of a mapping runs only while
    /// somebody polls. (A browser polls by itself.)
    #[cfg(not(target_arch = "wasm32"))]
    fn poll_until(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let mut poller = super::lock(&self.0.poller);
        let started = match poller.take() {
            Some(started) => started,
            None => {
                let device = self.device().clone();
                let poll = move |submission_index| {
                    if let Err(error) = device.poll(wgpu::PollType::Wait { submission_index, timeout: None }) {
                        log::error!("waiting for the device: {error}");
                    }
                };
                Poller::start(poll).map_err(|error| Error::gpu("starting a thread", error))?
            }
        };
        if !started.poll_until(submission) {
            return Err(Error::gpu("polling the device", "the thread that polls it has ended"));
        }
        *poller = Some(started);
        Ok(())
    }

    /// Submits `commands` with copies of `sources`, and asks for the mapping of each; tells the submission.
    fn begin(
        &self,
        mut commands: Commands,
        sources: &[BufferBinding],
    ) -> Result<(Vec<Pending>, Option<wgpu::SubmissionIndex>)> {
        let mut stagings = Vec::with_capacity(sources.len());
        for source in sources {
            let staging = self.staging(source.size)?;
            commands.copy(source, &BufferBinding { storage: staging.clone(), offset: 0, size: source.size })?;
            stagings.push((staging, source.size));
        }
        let submission = commands.submit_indexed()?;
        let map = |(staging, size): (Arc<DeviceBuffer>, u64)| {
            let (sender, mapped) = oneshot_channel();
            let pending = Pending { gpu: self.clone(), staging, size, mapped };
            self.guarded("readback", || {
                pending.staging.buffer().map_async(wgpu::MapMode::Read, .., move |outcome| {
                    let _ = sender.send(outcome);
                });
            })?;
            Ok(pending)
        };
        Ok((stagings.into_iter().map(map).collect::<Result<_>>()?, submission))
    }

    async fn finish(&self, pending: Pending) -> Result<Vec<u8>> {
        #[cfg(target_arch = "wasm32")]
        {
            let promised = std::mem::take(&mut *super::lock(&self.0.promised));
            for outcome in promised {
                if let Some(error) = outcome.await {
                    return Err(Error::gpu("an earlier call", error));
                }
            }
        }
        let outcome = pending.mapped.receive().await;
        match outcome {
            Some(Ok(())) => {}
            failed => {
                self.check_present("readback")?;
                let why = failed.map(|outcome| format!("{outcome:?}")).unwrap_or_default();
                return Err(Error::gpu("readback", format!("the values did not come: {why}")));
            }
        }
        // Mapped ranges are multiples of four bytes; an odd number of f16 is not.
        let range = ..pending.size.next_multiple_of(4);
        let view = pending.staging.buffer().get_mapped_range(range).map_err(|error| Error::gpu("readback", error))?;
        Ok(view[..pending.size as usize].to_vec())
    }
}

/// A thread that polls a device until each submission it is told of has run, one after another.
///
/// It has let go of the device when this is dropped: drivers crash where one is destroyed while the process ends.
#[cfg(not(target_arch = "wasm32"))]
pub(super) struct Poller {
    /// Where asynchronous reads tell what they wait for.
    submissions: Option<Sender<Option<wgpu::SubmissionIndex>>>,
    thread: Option<JoinHandle<()>>,
}

#[cfg(not(target_arch = "wasm32"))]
impl Poller {
    /// `poll` holds the device.
    fn start(poll: impl Fn(Option<wgpu::SubmissionIndex>) + Send + 'static) -> std::io::Result<Self> {
        let (sender, submissions) = channel();
        let named = std::thread::Builder::new().name("wgpu-conv poll".into());
        let thread = named.spawn(move || submissions.into_iter().for_each(poll))?;
        Ok(Self { submissions: Some(sender), thread: Some(thread) })
    }

    fn poll_until(&self, submission: Option<wgpu::SubmissionIndex>) -> bool {
        self.submissions.as_ref().is_some_and(|submissions| submissions.send(submission).is_ok())
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Drop for Poller {
    fn drop(&mut self) {
        drop(self.submissions.take());
        // A callback that runs on the thread itself may have held the last of the device.
        if let Some(thread) = self.thread.take().filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_device_is_let_go_before_its_poller_is_gone() {
        let device = Arc::new(());
        let held = device.clone();
        let poll = move |_| {
            std::thread::sleep(Duration::from_millis(50));
            assert!(Arc::strong_count(&held) == 2);
        };
        let poller = Poller::start(poll).unwrap();
        assert!(poller.poll_until(None));
        drop(poller);
        assert_eq!(Arc::strong_count(&device), 1);
    }
}
