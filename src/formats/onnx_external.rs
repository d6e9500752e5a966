//! Weights that lie in files beside an ONNX file.
//!
//! Such a file is named by the model, which is not trusted: its path must stay within the model's folder, links included, it
//! must be a regular file, and what is read of it is counted like the model's own bytes.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use super::onnx_proto::TensorProto;
use crate::budget::Meter;

/// The files beside one model.
pub(super) struct FilesBeside<'a> {
    /// The model's folder; none for a model in memory.
    folder: Option<&'a Path>,
    meter: &'a Meter,
    /// Those that are open, with their bytes.
    files: HashMap<PathBuf, (File, u64)>,
}

/// Where the elements of a tensor lie.
struct ElementsPlace {
    location: String,
    offset: u64,
    length: Option<u64>,
}

impl ElementsPlace {
    fn of(tensor: &TensorProto) -> Result<Self, String> {
        let mut place = Self { location: String::new(), offset: 0, length: None };
        let number = |key: &str, value: &str| {
            value.trim().parse().map_err(|_| format!("its {key} in another file must be a whole number, not {value:?}"))
        };
        for (index, entry) in tensor.external_data.iter().enumerate() {
            if tensor.external_data[..index].iter().any(|earlier| earlier.key == entry.key) {
                return Err(format!("its {} in another file stands there twice", entry.key));
            }
            match entry.key.as_str() {
                "location" => place.location.clone_from(&entry.value),
                "offset" => place.offset = number("offset", &entry.value)?,
                "length" => place.length = Some(number("length", &entry.value)?),
                // A hash of the whole file, which nobody must write and no reader checks.
                "checksum" => {}
                other => return Err(format!("its place in another file has a {other:?}, which is not known")),
            }
        }
        Ok(place)
    }
}

impl<'a> FilesBeside<'a> {
    pub(super) fn new(folder: Option<&'a Path>, meter: &'a Meter) -> Self {
        Self { folder, meter, files: HashMap::new() }
    }

    /// Bytes of all files that were read from.
    pub(super) fn bytes(&self) -> u64 {
        self.files.values().map(|(_, bytes)| bytes).sum()
    }

    /// Puts the elements of `tensor` into it where they lie in another file.
    pub(super) fn fetch(&mut self, tensor: &mut TensorProto) -> Result<(), String> {
        if tensor.data_location == 0 && tensor.external_data.is_empty() {
            return Ok(());
        }
        if tensor.data_location != 1 || tensor.raw_data.is_some() || tensor.has_fields() {
            return Err("its elements must lie either in the file or in another one".into());
        }
        let ElementsPlace { location, offset, length } = ElementsPlace::of(tensor)?;
        let Some(folder) = self.folder else {
            return Err(format!("its elements lie in another file, {location:?}; open the model by its path"));
        };
        let path = within(folder, &location)?;
        let wrong = |why: String| format!("its elements lie in {location:?}, which {why}");
        if !self.files.contains_key(&path) {
            // Before it is opened: opening a pipe waits for someone to write to it.
            let metadata = std::fs::metadata(&path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
            if !metadata.is_file() {
                return Err(wrong("is no regular file".into()));
            }
            let file = File::open(&path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
            self.meter.allow(metadata.len());
            self.files.insert(path.clone(), (file, metadata.len()));
        }
        let Some((file, bytes)) = self.files.get_mut(&path) else { return Err(wrong("cannot be read".into())) };
        let length = length.unwrap_or(bytes.saturating_sub(offset));
        if offset.checked_add(length).is_none_or(|end| end > *bytes) {
            return Err(wrong(format!("has {bytes} bytes, and not {length} from byte {offset} on; copy it whole")));
        }
        self.meter.memory(length).map_err(|error| error.to_string())?;
        let mut raw = Vec::new();
        let fits = usize::try_from(length).is_ok_and(|length| raw.try_reserve_exact(length).is_ok());
        if !fits {
            return Err(wrong(format!("holds {length} bytes of it, for which there is no memory")));
        }
        let read = file.seek(SeekFrom::Start(offset)).and_then(|_| file.take(length).read_to_end(&mut raw));
        match read {
            Ok(_) if raw.len() as u64 == length => {}
            Ok(_) => return Err(wrong("became shorter while it was read".into())),
            Err(error) => return Err(wrong(format!("cannot be read: {error}"))),
        }
        tensor.raw_data = Some(raw.into());
        tensor.data_location = 0;
        tensor.external_data.clear();
        Ok(())
    }
}

/// The file `location` in `folder`, which must lie there.
fn within(folder: &Path, location: &str) -> Result<PathBuf, String> {
    let refused = |why: &str| format!("its elements lie in {location:?}, which {why}");
    let parts = Path::new(location).components();
    let inside = parts.clone().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    if !inside || !parts.clone().any(|part| matches!(part, Component::Normal(_))) {
        return Err(refused("must be a path within the folder of the model"));
    }
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let found = |path: &Path| std::fs::canonicalize(path).map_err(|error| refused(&format!("cannot be read: {error}")));
    let (folder, path) = (found(folder)?, found(&folder.join(location))?);
    if !path.starts_with(&folder) {
        return Err(refused("is a link out of the folder of the model; put the file itself there"));
    }
    Ok(path)
}
