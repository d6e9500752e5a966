//! Arrays with names: what a model is trained on.

use std::path::Path;

use super::keras::Archive;
use super::{InputReader, npy};
use crate::budget::Meter;
use crate::{Error, HostTensor, Result};

/// The arrays in a file, in order: of `.npz`, as `numpy.savez` writes it, and `.safetensors` by their names there, of `.npy` the
/// only one by the name of the file. Whole numbers, as labels are, are taken too.
///
/// # Errors
/// [`Error::Format`] where the file cannot be read, or holds anything else than numbers; [`Error::Limit`] where it is over the
/// [`Budget`](super::Budget).
///
/// ```no_run
/// let arrays = wgpu_conv::formats::read_arrays("digits.npz")?;
/// for (name, array) in &arrays {
///     println!("{name}: {}", array.shape);
/// }
/// # Ok::<(), wgpu_conv::Error>(())
/// ```
pub fn read_arrays(path: impl AsRef<Path>) -> Result<Vec<(String, HostTensor)>> {
    let path = path.as_ref();
    let place = path.display().to_string();
    arrays_of(&super::read(path)?, &place)
}

/// [`read_arrays`] from memory; `place` is what the file is called, in messages, and the only array of an `.npy` file.
///
/// # Errors
/// Those of [`read_arrays`].
pub(crate) fn arrays_of(bytes: &[u8], place: &str) -> Result<Vec<(String, HostTensor)>> {
    if bytes.starts_with(b"\x93NUMPY") {
        let name = Path::new(place).file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let array = npy::parse(bytes, place, &Meter::new(place, bytes.len()))?;
        return Ok(vec![(name, array.tensor)]);
    }
    if !bytes.starts_with(b"PK") {
        #[cfg(feature = "safetensors")]
        return super::safetensors::all(bytes, place);
        #[cfg(not(feature = "safetensors"))]
        return Err(Error::format(place, "neither an .npz file nor an .npy file"));
    }
    of_npz(bytes, place, |_| true)
}

/// The arrays of the `.npz` file `bytes` whose names are wanted, in order.
fn of_npz(bytes: &[u8], place: &str, wanted: impl Fn(&str) -> bool) -> Result<Vec<(String, HostTensor)>> {
    let meter = Meter::new(place, bytes.len());
    let mut archive = Archive::open(bytes, place, &meter)?;
    let mut arrays = Vec::new();
    for entry in archive.names()? {
        let Some(name) = entry.strip_suffix(".npy") else {
            let text = format!("an .npz file must hold .npy arrays, and this one holds {entry:?}");
            return Err(Error::format(place, text));
        };
        if !wanted(name) {
            continue;
        }
        let data = archive.entry(&entry)?.unwrap_or_default();
        let array = npy::parse(&data, &format!("{place}, {entry}"), &meter)?;
        arrays.push((name.to_owned(), array.tensor));
    }
    Ok(arrays)
}

/// The names and shapes of `arrays`, for messages.
fn listed(arrays: &[(String, HostTensor)]) -> String {
    arrays.iter().map(|(name, array)| format!("{name:?} {}", array.shape)).collect::<Vec<_>>().join(", ")
}

/// The array of a name in the `.npz` file `bytes`; the others need not be numbers.
fn named(bytes: &[u8], name: &str, place: &str) -> Result<HostTensor> {
    match of_npz(bytes, place, |other| other == name)?.pop() {
        Some((_, array)) => Ok(array),
        None => {
            let there = listed(&of_npz(bytes, place, |_| true)?);
            Err(Error::format(place, format!("it holds no array {name:?}, but {there}")))
        }
    }
}

impl InputReader {
    /// The array asked for of a `.npz` file, or the only one that fits the model's input.
    pub(super) fn read_npz(&self, path: &Path, place: &str) -> Result<HostTensor> {
        let bytes = super::read(path)?;
        if let Some(name) = &self.tensor {
            return named(&bytes, name, place);
        }
        let mut arrays = of_npz(&bytes, place, |_| true)?;
        let fitting: Vec<_> =
            (0..arrays.len()).filter(|&index| self.fit(arrays[index].1.shape.dims()).is_some()).collect();
        match fitting[..] {
            [index] => Ok(arrays.swap_remove(index).1),
            _ => Err(self.not_one(fitting.len(), place, &listed(&arrays))),
        }
    }
}

/// The array for each input of a model in the `.npz` file at `path`, by the first of its `names` that is there; none where one is
/// missing.
pub(super) fn for_inputs(path: &Path, names: &[[String; 2]]) -> Result<Option<Vec<HostTensor>>> {
    let place = path.display().to_string();
    let arrays = of_npz(&super::read(path)?, &place, |name| names.iter().flatten().any(|wanted| wanted == name))?;
    let of = |names: &[String; 2]| {
        let found = names.iter().find_map(|name| arrays.iter().find(|(other, _)| other == name));
        found.map(|(_, array)| array.clone())
    };
    Ok(names.iter().map(of).collect())
}

/// The whole numbers of the array `name` in the `.npz` file `bytes`.
#[cfg(feature = "safetensors")]
pub(super) fn labels(bytes: &[u8], name: &str, place: &str) -> Result<Vec<i64>> {
    let array = named(bytes, name, place)?;
    match array.values.iter().find(|value| value.fract() != 0.0) {
        Some(value) => Err(Error::format(place, format!("labels must be integers, and array {name} holds {value}"))),
        None => Ok(array.values.iter().map(|&value| value as i64).collect()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn arrays_of_numpy_are_read_by_name() {
        let labels = |kind: &str, data: &[u8], count: usize| {
            let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({count},), }}\n");
            [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
        };
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let whole: Vec<u8> = [7_i64, -3].iter().flat_map(|value| value.to_le_bytes()).collect();
        for (name, bytes) in [("x.npy", labels("<f4", &1.5_f32.to_le_bytes(), 1)), ("y.npy", labels("<i8", &whole, 2))]
        {
            zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(&bytes).unwrap();
        }
        let folder = std::env::temp_dir();
        let of = |name: &str, bytes: &[u8]| {
            let path = folder.join(format!("wgpu-conv-arrays-{}-{name}", std::process::id()));
            std::fs::write(&path, bytes).unwrap();
            let read = read_arrays(&path);
            std::fs::remove_file(&path).unwrap();
            read
        };
        let mut read = of("a.npz", &zip.finish().unwrap().into_inner()).unwrap();
        read.sort_by(|(one, _), (other, _)| one.cmp(other));
        let values: Vec<_> = read.iter().map(|(name, array)| (name.as_str(), &array.values[..])).collect();
        assert_eq!(values, [("x", &[1.5][..]), ("y", &[7.0, -3.0][..])]);
        // Beyond what f32 counts one by one.
        let error = of("b.npy", &labels("<i8", &(1_i64 << 40).to_le_bytes(), 1)).unwrap_err().to_string();
        assert!(error.contains("2^24"), "{error}");
        assert!(of("c.npz", b"PK\x03\x04").is_err());
        assert!(of("d.txt", b"letter").is_err());
    }
}
