//! Backups of a run, so that one that was stopped goes on where it was: a machine that goes down costs an epoch at most.

use std::path::{Path, PathBuf};

use super::{Callback, Logs, Run};
use crate::{Error, Result};

/// What the name of a backup has before the number of the epoch that comes next, and after it.
const NAME: [&str; 2] = ["backup_before_epoch_", ".keras"];

/// Saves the state of a run after each epoch, and goes on from there when the same run is begun again: weights, what the optimizer
/// keeps, its learning rate, and the number of the epoch. The run then comes to the same bits as one that nothing has stopped,
/// where its data and its options are the same; what other callbacks have counted begins anew, as in Keras.
///
/// A backup is a `.keras` file in a folder of its own. It is there as a whole or not at all, and takes the place of the one
/// before only then. A run that comes to its end takes its backups away.
///
/// ```no_run
/// use wgpu_conv::training::{BackupAndRestore, FitOptions};
/// # use wgpu_conv::HostTensor;
/// # let mut trainer: wgpu_conv::training::Trainer<'_> = unimplemented!();
/// # let (x, y): ([HostTensor; 1], [HostTensor; 1]) = unimplemented!();
///
/// // Begun once more after it was stopped, it goes on.
/// let options = FitOptions { epochs: 100, ..FitOptions::default() };
/// trainer.fit(&x, &y, &options, &mut [&mut BackupAndRestore::new("backup")])?;
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct BackupAndRestore {
    folder: PathBuf,
    delete_checkpoint: bool,
}

impl BackupAndRestore {
    /// Keeps backups in the folder `backup_dir`, which is made where there is none.
    pub fn new(backup_dir: impl Into<PathBuf>) -> Self {
        Self { folder: backup_dir.into(), delete_checkpoint: true }
    }

    /// Whether a run that comes to its end takes its backups away, and the folder where nothing else is in it; true by default.
    pub fn delete_checkpoint(self, delete_checkpoint: bool) -> Self {
        Self { delete_checkpoint, ..self }
    }

    fn path(&self, epoch: usize) -> PathBuf {
        self.folder.join(format!("{}{epoch}{}", NAME[0], NAME[1]))
    }

    /// The epochs that there are backups of.
    fn epochs(&self) -> Result<Vec<usize>> {
        let broken = |error: std::io::Error| of_folder(&self.folder, "cannot be read", &error);
        let entries = match std::fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(broken)?,
        };
        let mut epochs = Vec::new();
        for entry in entries {
            let name = entry.map_err(broken)?.file_name();
            let number = name.to_str().and_then(|name| name.strip_prefix(NAME[0])?.strip_suffix(NAME[1]));
            epochs.extend(number.and_then(|number| number.parse::<usize>().ok()));
        }
        Ok(epochs)
    }

    /// Takes all backups away but that of `epoch`.
    fn remove(&self, but: Option<usize>) -> Result<()> {
        for epoch in self.epochs()?.into_iter().filter(|&epoch| Some(epoch) != but) {
            let path = self.path(epoch);
            std::fs::remove_file(&path).map_err(|error| of_folder(&path, "cannot be removed", &error))?;
        }
        Ok(())
    }
}

fn of_folder(path: &Path, what: &str, error: &std::io::Error) -> Error {
    Error::format(path.display().to_string(), format!("{what}: {error}"))
}

impl Callback for BackupAndRestore {
    /// # Errors
    /// [`Error::Format`] for a folder that cannot be used; those of [`Trainer::restore`](super::Trainer::restore), for the backup of
    /// another run.
    fn on_train_begin(&mut self, run: &mut Run<'_, '_>) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(|error| of_folder(&self.folder, "cannot be made", &error))?;
        match self.epochs()?.into_iter().max() {
            Some(epoch) => run.restore(self.path(epoch), epoch),
            None => Ok(()),
        }
    }

    fn on_epoch_end(&mut self, run: &mut Run<'_, '_>, epoch: usize, _: &mut Logs) -> Result<()> {
        run.trainer().save(self.path(epoch + 1))?;
        self.remove(Some(epoch + 1))
    }

    fn on_train_end(&mut self, _: &mut Run<'_, '_>) -> Result<()> {
        if self.delete_checkpoint {
            self.remove(None)?;
            // What else is in the folder stays, and so does the folder.
            let _ = std::fs::remove_dir(&self.folder);
        }
        Ok(())
    }
}
