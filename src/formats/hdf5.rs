//! Weights in the HDF5 files that Keras writes: `model.weights.h5` and the legacy `.h5`.

use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use half::{bf16, f16};
use hdf5_pure::{
    AttrValue, Dataset, Datatype, DatatypeByteOrder, File, FileBuilder, FinishedGroup, FormatError, Group,
    GroupBuilder, Layout, LibVer, Source,
};

use super::decode;
use super::learned::IDF_WEIGHTS;
use crate::budget::Meter;
use crate::{Error, HostTensor, Result, Shape};

/// An open file of weights.
pub(super) struct WeightsFile {
    file: File,
    /// Where it lies, if it is not in memory.
    section: Option<Section>,
    place: String,
    /// Bytes of weights that may still be read. Every weight of an honest file stands in bytes of its own, so all of them
    /// cannot take more than the file; a forged one might claim the same bytes again and again, or bytes never written.
    budget: u64,
    /// Set once the attributes may be read.
    texts_checked: OnceCell<()>,
    /// The groups in a group, by its path and their names: to look for one by its path reads all beside it.
    groups: RefCell<HashMap<String, HashMap<String, Group>>>,
    meter: Meter,
}

/// A part of a file on the disk, of which what is asked for is read.
#[derive(Clone)]
struct Section {
    file: Arc<Mutex<std::fs::File>>,
    range: Range<u64>,
}

impl Source for Section {
    fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> std::result::Result<(), FormatError> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let read =
            file.seek(SeekFrom::Start(self.range.start.saturating_add(offset))).and_then(|_| file.read_exact(buffer));
        read.map_err(|error| FormatError::Source(error.to_string()))
    }
}

/// A dataset that stands where weights do, and has the form of some. Its values have not been read.
pub(super) struct Found {
    dataset: Dataset,
    place: String,
    pub(super) dims: Vec<usize>,
    decode: Decode,
}

/// How bytes become values.
enum Decode {
    Floats(fn(&[u8]) -> Vec<f32>),
    /// Whole numbers. Those beyond what floats hold are rounded only where they are a count, which nothing computes with.
    Whole(fn(&[u8]) -> Vec<i128>, bool),
}

/// The memory that a group of a file is counted as, beside its path.
const GROUP_BYTES: u64 = 512;

/// The memory that each part of the path of a group is counted as, beside its bytes.
const PART_BYTES: u64 = 64;

/// The steps that looking at a member of a group is counted as, beside those for its path.
const MEMBER_WORK: u64 = 128;

/// The memory that a member of a group at `path` is counted as.
fn member_bytes(path: &str) -> u64 {
    GROUP_BYTES + path.len() as u64 + PART_BYTES * path.split('/').count() as u64
}

impl WeightsFile {
    /// Opens the file `bytes`, called `place` in messages.
    ///
    /// # Errors
    /// [`Error::Format`] for anything that is not HDF5.
    pub(super) fn open(bytes: Vec<u8>, place: String, meter: Meter) -> Result<Self> {
        let budget = bytes.len() as u64;
        let file = File::from_bytes(bytes).map_err(|error| Error::format(&place, error.to_string()))?;
        Self::new(file, None, budget, place, meter)
    }

    /// Opens the part `range` of `file`, called `place` in messages, of which no more is read than is asked for.
    ///
    /// # Errors
    /// [`Error::Format`] for anything that is not HDF5.
    pub(super) fn open_section(file: std::fs::File, range: Range<u64>, place: String, meter: Meter) -> Result<Self> {
        let budget = range.end.saturating_sub(range.start);
        let section = Section { file: Arc::new(Mutex::new(file)), range };
        let file = File::from_source(section.clone()).map_err(|error| Error::format(&place, error.to_string()))?;
        Self::new(file, Some(section), budget, place, meter)
    }

    /// `bytes` of them there are.
    fn new(file: File, section: Option<Section>, bytes: u64, place: String, meter: Meter) -> Result<Self> {
        let end = file.superblock().eof_address;
        if end > bytes {
            return Err(Error::format(place, format!("the file is cut short: it has {bytes} of {end} bytes")));
        }
        let (texts_checked, groups) = (OnceCell::new(), RefCell::default());
        Ok(Self { file, section, place, budget: bytes, texts_checked, groups, meter })
    }

    /// What is left of the budget for the file.
    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Whether there is a group at `path`.
    pub(super) fn has_group(&self, path: &str) -> bool {
        matches!(self.found(path), Ok(Some(_)))
    }

    /// Whether any dataset stands below the group at `path`.
    ///
    /// # Errors
    /// [`Error::Limit`] for more groups and datasets than the budget allows.
    pub(super) fn holds_datasets(&self, path: &str) -> Result<bool> {
        let mut found = false;
        self.walk(path, &mut |_, _| found = true)?;
        Ok(found)
    }

    /// Whether any dataset stands below a group of this name, wherever that is.
    ///
    /// # Errors
    /// [`Error::Limit`] for more groups and datasets than the budget allows.
    pub(super) fn has_group_called(&self, name: &str) -> Result<bool> {
        let mut found = false;
        self.walk("", &mut |path, _| found |= path.split('/').any(|part| part == name))?;
        Ok(found)
    }

    /// Names and shapes of all datasets.
    ///
    /// # Errors
    /// [`Error::Format`] for a dataset without a shape or with values in another file, and for a broken group; [`Error::Limit`]
    /// for more groups and datasets than the budget allows.
    pub(super) fn shapes(&self) -> Result<Vec<(String, Shape)>> {
        let mut shapes = Vec::new();
        let mut broken = None;
        self.walk("", &mut |path, dataset| match dataset.shape().and_then(|dims| lies_here(dataset).map(|()| dims)) {
            Ok(dims) => {
                let dims: Vec<usize> = dims.iter().map(|&dim| dim as usize).collect();
                shapes.push((path.to_owned(), dims.into()));
            }
            Err(error) => broken = Some(Error::format(format!("{}, dataset {path}", self.place), error.to_string())),
        })?;
        broken.map_or(Ok(shapes), Err)
    }

    /// Shows `see` every dataset below the group at `path`, to a depth and number that no file of Keras's has. A group may stand
    /// in many, and even in itself: so each place of it is counted.
    ///
    /// # Errors
    /// [`Error::Format`] for a broken group, [`Error::Limit`] for more groups and datasets than the budget allows.
    fn walk(&self, path: &str, see: &mut dyn FnMut(&str, &Dataset)) -> Result<()> {
        let Some(group) = self.found(path)? else { return Ok(()) };
        let mut groups = vec![(path.to_owned(), group, 0)];
        let mut left = 1 << 20;
        let counted = |path: String| {
            self.meter.work(MEMBER_WORK + 8 * path.len() as u64)?;
            self.meter.memory(member_bytes(&path))?;
            Ok::<_, Error>(path)
        };
        while let Some((path, group, depth)) = groups.pop() {
            let within = |name: &str| counted(if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") });
            for (name, dataset) in group.iter_datasets().map_err(|error| self.broken(&path, error))? {
                see(&within(&name)?, &dataset);
            }
            for (name, group) in group.iter_groups().map_err(|error| self.broken(&path, error))? {
                if left > 0 && depth < 64 {
                    left -= 1;
                    groups.push((within(&name)?, group, depth + 1));
                }
            }
        }
        Ok(())
    }

    /// The values of the datasets `0`, `1`, … of the group at `path`: see [`find_vars`](Self::find_vars).
    ///
    /// # Errors
    /// Those of [`find_vars`](Self::find_vars), and [`Error::Format`] for values that cannot be weights.
    #[cfg(any(test, not(target_arch = "wasm32")))]
    pub(super) fn vars(&mut self, path: &str) -> Result<Vec<HostTensor>> {
        let found = self.find_vars(path, |_| false)?;
        found.iter().map(|found| self.read(found)).collect()
    }

    /// The datasets `0`, `1`, … of the group at `path`, in that order, of which some may be counts, which nothing computes with;
    /// none where there is no such group, as Keras leaves
    /// none for a layer that never had weights.
    ///
    /// # Errors
    /// [`Error::Format`] for datasets of other names, layouts or types, and for a file that contradicts itself.
    pub(super) fn find_vars(&mut self, path: &str, is_count: impl Fn(usize) -> bool) -> Result<Vec<Found>> {
        let Some(group) = self.found(path)? else { return Ok(Vec::new()) };
        let mut names = group.datasets().map_err(|error| self.broken(path, error))?;
        // Those are a part of the layer's description here.
        names.retain(|name| name != IDF_WEIGHTS);
        // Each is looked for among all.
        self.meter.work((names.len() as u64).saturating_pow(2))?;
        (0..names.len()).map(|index| self.dataset(&group, path, &index.to_string(), is_count(index))).collect()
    }

    /// The dataset `name` below the group at `path`. The memory that its values take is counted here, so that what is only looked
    /// at is refused for it as what is read.
    ///
    /// # Errors
    /// [`Error::Format`] where there is no such group or dataset, and as for [`find_vars`](Self::find_vars).
    pub(super) fn find(&mut self, path: &str, name: &str) -> Result<Found> {
        let group = self.group(path)?;
        let is_count = name.rsplit('/').next().is_some_and(|last| last == "count" || last == "count:0");
        self.dataset(&group, path, name, is_count)
    }

    /// The texts of the attribute `name` of the group at `path`, which Keras splits into `name0`, `name1`, … where they
    /// take more than an attribute can hold; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Format`] where there is no such group, or the attribute holds something else than texts.
    pub(super) fn texts(&self, path: &str, name: &str) -> Result<Option<Vec<String>>> {
        let group = self.group(path)?;
        let named = group.attr_datatypes().map_err(|error| self.broken(path, error))?;
        if !named.contains_key(name) && !named.contains_key(&format!("{name}0")) {
            return Ok(None);
        }
        self.check_heaps()?;
        let attributes = group.attrs().map_err(|error| self.broken(path, error))?;
        let one = |name: &str| -> Result<Option<&[String]>> {
            match attributes.get(name) {
                None => Ok(None),
                Some(value) => match value.as_strings() {
                    Some(texts) => Ok(Some(texts)),
                    // What Keras makes of an empty list.
                    None if value.to_f64s().is_some_and(|values| values.is_empty()) => Ok(Some(&[])),
                    None => Err(Error::format(self.at(path), format!("the attribute {name} must hold texts"))),
                },
            }
        };
        if let Some(texts) = one(name)? {
            return Ok(Some(texts.to_vec()));
        }
        let mut all = None;
        for part in 0.. {
            let Some(texts) = one(&format!("{name}{part}"))? else { break };
            all.get_or_insert_with(Vec::new).extend_from_slice(texts);
        }
        Ok(all)
    }

    /// Texts of attributes stand in heaps, and are read by reference: a forged file may refer to one long text from a
    /// thousand places. So the texts are counted at everything in the file that looks like a reference to one.
    ///
    /// # Errors
    /// [`Error::Format`] where they take more than in proportion to the file.
    fn check_heaps(&self) -> Result<()> {
        if self.texts_checked.get().is_some() {
            return Ok(());
        }
        let superblock = self.file.superblock();
        if superblock.offset_size != 8 || superblock.length_size != 8 || superblock.base_address.get() != 0 {
            let problem = "addresses must take 8 bytes each and count from the file's beginning, as Keras writes them";
            return Err(Error::format(&self.place, problem));
        }
        let problem = "the texts of the attributes take far more bytes than the file has";
        let refused = || Error::format(&self.place, problem);
        let whole = match &self.section {
            None => None,
            Some(section) => {
                self.meter.memory(section.len())?;
                let bytes = section.read_exact_at(0, usize::try_from(section.len()).unwrap_or(usize::MAX));
                Some(bytes.map_err(|error| Error::format(&self.place, error.to_string()))?)
            }
        };
        let bytes = whole.as_deref().unwrap_or_else(|| self.file.as_bytes());
        let texts = heap_texts(bytes).ok_or_else(refused)?;
        // Most words are no address at all, and need no look into the map.
        let addresses = || texts.keys().map(|(address, _)| *address);
        let (first, last) = (addresses().min().unwrap_or(1), addresses().max().unwrap_or(0));
        let mut most = 0u64;
        for window in bytes.windows(12) {
            let address = word(window, 0);
            if (first..=last).contains(&address) {
                let index = u32::from_le_bytes([window[8], window[9], window[10], window[11]]);
                most = most.saturating_add(texts.get(&(address, index)).copied().unwrap_or(0));
            }
        }
        if most > (bytes.len() as u64).saturating_mul(16).saturating_add(64 << 20) {
            return Err(refused());
        }
        let _ = self.texts_checked.set(());
        Ok(())
    }

    fn group(&self, path: &str) -> Result<Group> {
        self.found(path)?.ok_or_else(|| Error::format(self.at(path), "there is no such group"))
    }

    /// The group at `path`, if there is one.
    ///
    /// # Errors
    /// [`Error::Format`] for a broken group on the way, [`Error::Limit`] where there are more groups beside those on the way than
    /// the budget allows.
    fn found(&self, path: &str) -> Result<Option<Group>> {
        let Some((parent, name)) = path.rsplit_once('/').or_else(|| (!path.is_empty()).then_some(("", path))) else {
            return Ok(Some(self.file.root()));
        };
        if let Some(siblings) = self.groups.borrow().get(parent) {
            return Ok(siblings.get(name).cloned());
        }
        let Some(group) = self.found(parent)? else { return Ok(None) };
        let list = group.iter_groups().map_err(|error| self.broken(parent, error))?;
        let mut siblings = HashMap::new();
        for (name, group) in list {
            self.meter.memory(member_bytes(parent) + name.len() as u64)?;
            siblings.insert(name, group);
        }
        let found = siblings.get(name).cloned();
        self.groups.borrow_mut().insert(parent.to_owned(), siblings);
        Ok(found)
    }

    /// The place called `path` in the file, in words.
    fn at(&self, path: &str) -> String {
        if path.is_empty() { self.place.clone() } else { format!("{}, group {path}", self.place) }
    }

    fn broken(&self, path: &str, error: hdf5_pure::Error) -> Error {
        Error::format(self.at(path), error.to_string())
    }

    fn dataset(&mut self, group: &Group, path: &str, name: &str, is_count: bool) -> Result<Found> {
        let dataset = group.dataset(name).map_err(|error| self.broken(path, error))?;
        let place = format!("{}, dataset {path}/{name}", self.place);
        let broken = |error: hdf5_pure::Error| Error::format(&place, error.to_string());
        lies_here(&dataset).map_err(broken)?;
        let (address, stored) = match dataset.layout().map_err(broken)? {
            Layout::Compact { size } => (0, size),
            Layout::Contiguous { address, size } => (address.unwrap_or(0), size),
            _ => {
                return Err(Error::format(
                    &place,
                    "the dataset is chunked or compressed, as Keras never writes it; save the model with Keras again",
                ));
            }
        };
        let dims: Vec<usize> = dataset.shape().map_err(broken)?.iter().map(|&dim| dim as usize).collect();
        let element = dataset.element_size().map_err(broken)?;
        let elements = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim as u64));
        let bytes = elements.and_then(|elements| elements.checked_mul(element)).filter(|&bytes| bytes <= self.budget);
        let Some(bytes) = bytes else {
            return Err(Error::format(&place, format!("the shape {dims:?} takes more bytes than the file has")));
        };
        self.budget -= bytes;
        let refused = |text: String| Err(Error::format(&place, text));
        let length = self.section.as_ref().map_or(self.file.as_bytes().len() as u64, Source::len);
        if stored < bytes || address.checked_add(bytes).is_none_or(|end| end > length) {
            return refused(format!("the shape {dims:?} takes {bytes} bytes, which the file has not where it says"));
        }
        let decode = match dataset.datatype().map_err(broken)? {
            Datatype::FloatingPoint { size, byte_order: DatatypeByteOrder::LittleEndian, layout } => {
                Decode::Floats(match (size, layout.exponent_size, layout.mantissa_size) {
                    (2, 5, 10) => |raw| decode(raw, |bytes| f16::from_le_bytes(bytes).to_f32()),
                    (2, 8, 7) => |raw| decode(raw, |bytes| bf16::from_le_bytes(bytes).to_f32()),
                    (4, 8, 23) => |raw| decode(raw, f32::from_le_bytes),
                    (8, 11, 52) => |raw| decode(raw, |bytes| f64::from_le_bytes(bytes) as f32),
                    _ => return refused(format!("no IEEE floating point of {size} bytes: {layout:?}")),
                })
            }
            Datatype::FixedPoint { size, byte_order: DatatypeByteOrder::LittleEndian, layout } => {
                let whole: fn(&[u8]) -> Vec<i128> = match (size, layout.signed) {
                    (1, true) => |raw| decode(raw, |bytes| i8::from_le_bytes(bytes).into()),
                    (1, false) => |raw| decode(raw, |bytes| u8::from_le_bytes(bytes).into()),
                    (2, true) => |raw| decode(raw, |bytes| i16::from_le_bytes(bytes).into()),
                    (2, false) => |raw| decode(raw, |bytes| u16::from_le_bytes(bytes).into()),
                    (4, true) => |raw| decode(raw, |bytes| i32::from_le_bytes(bytes).into()),
                    (4, false) => |raw| decode(raw, |bytes| u32::from_le_bytes(bytes).into()),
                    (8, true) => |raw| decode(raw, |bytes| i64::from_le_bytes(bytes).into()),
                    (8, false) => |raw| decode(raw, |bytes| u64::from_le_bytes(bytes).into()),
                    _ => return refused(format!("no integers of {size} bytes can be weights")),
                };
                Decode::Whole(whole, is_count)
            }
            Datatype::Opaque { size: 2, .. } if self.check_heaps().is_ok() && is_bfloat16(&dataset) => {
                Decode::Floats(|raw| decode(raw, |bytes| bf16::from_le_bytes(bytes).to_f32()))
            }
            other => {
                let text = "weights must be little-endian numbers or Keras's bfloat16";
                return refused(format!("{text}; found {}", kind_of(&other)));
            }
        };
        let held = if matches!(decode, Decode::Whole(..)) { size_of::<i128>() } else { 0 };
        let memory = elements.unwrap_or(u64::MAX).saturating_mul((held + size_of::<f32>()) as u64);
        self.meter.memory(memory)?;
        Ok(Found { dataset, place, dims, decode })
    }

    /// The values of a dataset.
    ///
    /// # Errors
    /// [`Error::Format`] for whole numbers that would be rounded, and where the file contradicts itself.
    pub(super) fn read(&self, found: &Found) -> Result<HostTensor> {
        let Found { dataset, place, dims, decode } = found;
        let raw = dataset.read_raw().map_err(|error| Error::format(place, error.to_string()))?;
        let values = match decode {
            Decode::Floats(decode) => decode(&raw),
            Decode::Whole(decode, is_count) => {
                let whole = decode(&raw);
                if let Some(value) = whole.iter().find(|&&value| !is_count && value as f32 as i128 != value) {
                    let problem = format!("weights are held as 32-bit floats, which would round its value {value}");
                    return Err(Error::format(place, problem));
                }
                whole.into_iter().map(|value| value as f32).collect()
            }
        };
        HostTensor::new(dims.clone(), values).map_err(|error| Error::format(place, error.to_string()))
    }
}

/// The sizes of the objects in all global heaps of a file, by the heap's address and the object's index there; `None` where
/// heaps overlap. A heap is `GCOL`, a version, its size, and objects: index, count, size, bytes up to a multiple of 8.
fn heap_texts(bytes: &[u8]) -> Option<HashMap<(u64, u32), u64>> {
    let mut texts = HashMap::new();
    let mut left = bytes.len() / 16;
    for (heap, _) in bytes.windows(4).enumerate().filter(|(_, window)| *window == b"GCOL") {
        let end = usize::try_from(word(bytes, heap + 8)).unwrap_or(usize::MAX).saturating_add(heap).min(bytes.len());
        let mut at = heap + 16;
        while at + 16 <= end {
            let index = u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
            if index == 0 {
                break;
            }
            left = left.checked_sub(1)?;
            let size = word(bytes, at + 8);
            let most = texts.entry((heap as u64, index)).or_default();
            *most = size.max(*most);
            let padded = usize::try_from(size).ok().and_then(|size| size.checked_next_multiple_of(8));
            match padded.and_then(|size| size.checked_add(at + 16)) {
                Some(next) => at = next,
                None => break,
            }
        }
    }
    Some(texts)
}

/// The 8 bytes at `at`; 0 beyond the end.
fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |&word| u64::from_le_bytes(word))
}

/// A type of data in words.
fn kind_of(datatype: &Datatype) -> &'static str {
    match datatype {
        Datatype::FixedPoint { .. } | Datatype::FloatingPoint { .. } => "numbers whose bytes stand in another order",
        Datatype::Opaque { .. } => "opaque bytes",
        _ => "no numbers",
    }
}

/// Refuses a dataset whose values stand in other files, which its shape does not say, nor its layout, that of one which was
/// never written; a read says so, also of nothing.
fn lies_here(dataset: &Dataset) -> std::result::Result<(), hdf5_pure::Error> {
    if !matches!(dataset.layout(), Ok(Layout::Contiguous { address: None, .. })) {
        return Ok(());
    }
    match dataset.read_raw_rows(0, 0) {
        Err(error @ hdf5_pure::Error::Format(FormatError::UnsupportedExternalStorage)) => Err(error),
        _ => Ok(()),
    }
}

/// Whether Keras marked the opaque values of `dataset` as bfloat16.
fn is_bfloat16(dataset: &Dataset) -> bool {
    let Ok(attributes) = dataset.attrs() else { return false };
    match attributes.get("dtype") {
        Some(AttrValue::VarLenString(mark) | AttrValue::String(mark)) => mark == "bfloat16",
        _ => false,
    }
}

/// A group to be written: datasets `0`, `1`, … of weights in a `vars` group named after its layer, and groups below it.
#[derive(Default)]
pub(super) struct WeightsGroup {
    /// Its name in the file; one that begins with `@` is the name of an attribute of the layer around it, one with `@@` a path.
    pub group: String,
    /// The name of the layer or model.
    pub name: String,
    /// The part of the layer that holds them, if it is one.
    pub of: &'static str,
    /// Its weights.
    pub values: Vec<HostTensor>,
    /// What it holds in turn: the layers of a model.
    pub layers: Vec<WeightsGroup>,
}

/// The state of an optimizer, to be written.
pub(super) struct OptimizerGroup<'a> {
    /// The optimizer's name.
    pub name: &'a str,
    /// The steps that it has taken, its first variable.
    pub iterations: i64,
    /// Its other variables.
    pub values: &'a [HostTensor],
    /// Of a loss scale that is around it, the steps since that has changed, and the scale.
    pub loss_scale: Option<(u32, f32)>,
}

/// The bytes of a `model.weights.h5` of the model `root`, with the state of its `optimizer` if any, in the oldest layout that can be written, which every HDF5
/// library since 1.8 reads.
///
/// # Errors
/// [`Error::Format`] for names and sizes that HDF5 cannot hold.
pub(super) fn write(root: &WeightsGroup, optimizer: Option<&OptimizerGroup<'_>>, place: &str) -> Result<Vec<u8>> {
    let mut file = FileBuilder::new();
    file.with_libver_bounds(LibVer::Earliest, LibVer::V18);
    let mut tree = Tree::default();
    tree.below("layers");
    tree.fill(root);
    if let Some(OptimizerGroup { name, iterations, values, loss_scale }) = optimizer {
        let mut group = file.create_group("optimizer");
        let mut vars = group.create_group("vars");
        vars.set_attr("name", AttrValue::VarLenString((*name).to_owned()));
        let count = |group: &mut GroupBuilder, name: usize, count: i64| {
            group.create_dataset(&name.to_string()).with_i64_data(&[count]).with_shape(&[]);
        };
        let mut first = 0;
        if let Some((good_steps, scale)) = *loss_scale {
            let mut inner = group.create_group("inner_optimizer");
            let mut inner_vars = inner.create_group("vars");
            count(&mut inner_vars, 0, *iterations);
            numbered(&mut inner_vars, values, 1);
            inner.add_group(inner_vars.finish());
            group.add_group(inner.finish());
            // Its own count of steps and learning rate, which nothing reads.
            count(&mut vars, 0, 0);
            count(&mut vars, 2, good_steps.into());
            for (name, value) in [("1", 0.0), ("3", scale)] {
                vars.create_dataset(name).with_f32_data(&[value]).with_shape(&[]);
            }
            first = 4;
        }
        count(&mut vars, first, *iterations);
        numbered(&mut vars, values, first + 1);
        group.add_group(vars.finish());
        file.add_group(group.finish());
    }
    for group in tree.groups() {
        file.add_group(group);
    }
    file.finish().map_err(|error| Error::format(place, error.to_string()))
}

/// Groups within groups, in their order.
#[derive(Default)]
struct Tree<'a> {
    /// The name of the layer that has its weights here, and these.
    vars: Option<(&'a str, &'a [HostTensor])>,
    below: Vec<(&'a str, Tree<'a>)>,
    /// Where each name stands in `below`.
    places: HashMap<&'a str, usize>,
}

impl<'a> Tree<'a> {
    /// The group of a name or a path below this one.
    fn below(&mut self, path: &'a str) -> &mut Self {
        path.split('/').fold(self, |tree, name| {
            let place = *tree.places.entry(name).or_insert_with(|| {
                tree.below.push((name, Tree::default()));
                tree.below.len() - 1
            });
            &mut tree.below[place].1
        })
    }

    /// Puts `of` here, and what it holds below.
    fn fill(&mut self, of: &'a WeightsGroup) {
        for layer in &of.layers {
            let attribute = layer.group.strip_prefix('@');
            match (attribute.map(|all| all.strip_prefix('@').unwrap_or(all)), &*layer.group) {
                // The weights of the layer around it are its own.
                (Some(""), _) => self.fill(layer),
                (Some(path), _) => self.below(path).fill(layer),
                // What has no weights in Keras.
                (None, "") => {}
                (None, group) => self.below("layers").below(group).fill(layer),
            }
        }
        let vars = if of.of.is_empty() { self } else { self.below(of.of) };
        if vars.vars.is_none_or(|(_, values)| values.is_empty()) {
            vars.vars = Some((&of.name, &of.values));
        }
    }

    /// The groups below this one.
    fn groups(&self) -> Vec<FinishedGroup> {
        let below = self.below.iter().map(|(name, tree)| {
            let mut group = FileBuilder::new().create_group(name);
            for below in tree.groups() {
                group.add_group(below);
            }
            group.finish()
        });
        below.chain(self.vars.map(|(name, values)| vars(name, values))).collect()
    }
}

fn vars(name: &str, values: &[HostTensor]) -> FinishedGroup {
    let mut vars = FileBuilder::new().create_group("vars");
    vars.set_attr("name", AttrValue::VarLenString(name.to_owned()));
    numbered(&mut vars, values, 0);
    vars.finish()
}

/// Datasets whose names are numbers, from `first` on.
fn numbered(group: &mut GroupBuilder, values: &[HostTensor], first: usize) {
    for (index, value) in values.iter().enumerate() {
        let shape: Vec<u64> = value.shape.dims().iter().map(|&dim| dim as u64).collect();
        group.create_dataset(&(first + index).to_string()).with_f32_data(&value.values).with_shape(&shape);
    }
}

#[cfg(test)]
mod tests {
    use hdf5_pure::{FileBuilder, FloatingPointLayout};

    use super::*;
    use crate::budget::Budget;

    fn read(build: impl FnOnce(&mut hdf5_pure::FileBuilder)) -> Result<Vec<HostTensor>> {
        let mut builder = FileBuilder::new();
        build(&mut builder);
        WeightsFile::open(builder.finish().unwrap(), "file".into(), Meter::new("file", 0))?.vars("vars")
    }

    /// Two values of two bytes each, in the group `vars`.
    fn halves(datatype: Datatype, bytes: Vec<u8>, mark: Option<&str>) -> Result<Vec<HostTensor>> {
        read(|builder| {
            let mut vars = builder.create_group("vars");
            let dataset = vars.create_dataset("0");
            dataset.with_raw_data(datatype, bytes, 2);
            if let Some(mark) = mark {
                dataset.set_attr("dtype", AttrValue::VarLenString(mark.into()));
            }
            builder.add_group(vars.finish());
        })
    }

    #[test]
    fn doubles_are_rounded() {
        let doubles = read(|builder| {
            let mut vars = builder.create_group("vars");
            vars.create_dataset("0").with_f64_data(&[0.1, 2.0]).with_shape(&[1, 2]);
            builder.add_group(vars.finish());
        });
        assert_eq!(doubles.unwrap(), [HostTensor::new([1, 2], vec![0.1, 2.0]).unwrap()]);
    }

    #[test]
    fn counts_are_numbers() {
        let counts = read(|builder| {
            let mut vars = builder.create_group("vars");
            vars.create_dataset("0").with_i32_data(&[-7, 360]).with_shape(&[2]);
            vars.create_dataset("1").with_i64_data(&[1 << 40]).with_shape(&[]);
            builder.add_group(vars.finish());
        });
        let counts = counts.unwrap();
        assert_eq!((&counts[0].values[..], &counts[1].values[..]), (&[-7.0, 360.0][..], &[(1u64 << 40) as f32][..]));
    }

    #[test]
    fn whole_numbers_are_rounded_in_counts_alone() {
        let file = |value: i64| {
            let mut builder = FileBuilder::new();
            let mut vars = builder.create_group("vars");
            vars.create_dataset("0").with_i64_data(&[1, value]).with_shape(&[2]);
            builder.add_group(vars.finish());
            WeightsFile::open(builder.finish().unwrap(), "file".into(), Meter::new("file", 0)).unwrap()
        };
        for value in [(1 << 24) + 1, i64::MAX, -(1 << 40) - 1] {
            let error = file(value).vars("vars").unwrap_err().to_string();
            assert!(error.contains("dataset vars/0") && error.contains(&value.to_string()), "{error}");
            let mut file = file(value);
            let count = file.find_vars("vars", |index| index == 0).unwrap();
            assert_eq!(file.read(&count[0]).unwrap().values[1], value as f32);
        }
        assert_eq!(file(i64::MIN).vars("vars").unwrap()[0].values[1], -(2f32.powi(63)));
    }

    /// Before any of them is held.
    #[test]
    fn whole_numbers_are_counted_where_they_are_found() {
        let count = (Budget::default().memory / 20) as usize;
        for (count, fits) in [(count - (1 << 16), true), (count + 1, false)] {
            let mut builder = FileBuilder::new();
            let mut vars = builder.create_group("vars");
            vars.create_dataset("0").with_i8_data(&vec![1; count]).with_shape(&[count as u64]);
            builder.add_group(vars.finish());
            let meter = Meter::new("file", 0);
            let mut file = WeightsFile::open(builder.finish().unwrap(), "file".into(), meter).unwrap();
            let found = file.find_vars("vars", |_| false);
            assert!(if fits { found.is_ok() } else { matches!(found, Err(Error::Limit { .. })) });
        }
    }

    #[test]
    fn a_broken_group_is_no_empty_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/findings/weights_only.weights.h5");
        let whole = std::fs::read(path).unwrap();
        let open = |bytes: Vec<u8>| WeightsFile::open(bytes, "file".into(), Meter::new("file", 0)).unwrap();
        let group = "layers/conv2d/vars";
        assert_eq!(
            (open(whole.clone()).shapes().unwrap().len(), open(whole.clone()).vars(group).unwrap().len()),
            (2, 2)
        );
        // The names in a group stand in such nodes.
        let nodes: Vec<usize> = (0..whole.len() - 4).filter(|&at| whole[at..].starts_with(b"SNOD")).collect();
        assert_eq!(nodes.len(), 4);
        for at in nodes {
            let mut bytes = whole.clone();
            bytes[at] = b'_';
            let mut file = open(bytes);
            assert!(matches!(file.shapes(), Err(Error::Format { .. })), "the listing, at {at}");
            assert!(matches!(file.vars(group), Err(Error::Format { .. })), "the weights, at {at}");
        }
    }

    #[test]
    fn a_file_that_is_cut_short_is_refused() {
        let mut builder = hdf5_pure::FileBuilder::new();
        let mut vars = builder.create_group("vars");
        vars.create_dataset("0").with_f32_data(&[1.0; 64]).with_shape(&[64]);
        builder.add_group(vars.finish());
        let mut bytes = builder.finish().unwrap();
        assert!(WeightsFile::open(bytes.clone(), "file".into(), Meter::new("file", 0)).is_ok());
        bytes.truncate(bytes.len() - 1);
        let error = WeightsFile::open(bytes, "file".into(), Meter::new("file", 0)).err().map(|error| error.to_string());
        assert!(error.as_ref().is_some_and(|error| error.contains("cut short")), "{error:?}");
    }

    #[test]
    fn half_types_are_told_apart() {
        let expected = [HostTensor::new([2], vec![1.5, -2.0]).unwrap()];
        let brain: Vec<u8> = [1.5, -2.0].iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect();
        let ieee: Vec<u8> = [1.5, -2.0].iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect();
        let float = |exponent_size, mantissa_size, exponent_bias| Datatype::FloatingPoint {
            size: 2,
            byte_order: DatatypeByteOrder::LittleEndian,
            layout: FloatingPointLayout {
                bit_offset: 0,
                bit_precision: 16,
                exponent_location: mantissa_size,
                exponent_size,
                mantissa_location: 0,
                mantissa_size,
                exponent_bias,
            },
        };
        let opaque = || Datatype::Opaque { size: 2, tag: Vec::new() };
        assert_eq!(halves(float(5, 10, 15), ieee.clone(), None).unwrap(), expected);
        assert_eq!(halves(float(8, 7, 127), brain.clone(), None).unwrap(), expected);
        assert_eq!(halves(opaque(), brain.clone(), Some("bfloat16")).unwrap(), expected);
        assert!(halves(opaque(), brain, None).is_err());
        assert!(halves(float(6, 9, 31), ieee, None).is_err());
    }

    #[test]
    fn one_text_referred_to_from_everywhere_is_not_copied() {
        let names: Vec<String> =
            (0..4000).map(|index| format!("layer_{index}")).chain(["long".repeat(50_000)]).collect();
        let mut builder = FileBuilder::new();
        builder.set_attr("layer_names", AttrValue::VarLenStringArray(names.clone()));
        let honest = builder.finish().unwrap();
        let open = |bytes: Vec<u8>| WeightsFile::open(bytes, "file".into(), Meter::new("file", 0)).unwrap();
        assert_eq!(open(honest.clone()).texts("", "layer_names").unwrap(), Some(names));
        // The references follow each other: length, address, index.
        let reference = |length: u32| honest.windows(4).position(|window| window == length.to_le_bytes()).unwrap();
        let long = reference(200_000);
        let forged = |count: usize| {
            let mut forged = honest.clone();
            for at in (0..count).map(|index| long - 16 * (index + 1)) {
                forged.copy_within(long..long + 16, at);
            }
            open(forged).check_heaps()
        };
        assert!(forged(3).is_ok());
        let error = forged(4000).unwrap_err().to_string();
        assert!(error.contains("far more bytes than the file"), "{error}");
    }

    #[test]
    fn what_keras_never_writes_is_refused_with_a_reason() {
        let refused = |build: fn(&mut FileBuilder)| read(build).unwrap_err().to_string();
        let text = refused(|builder| {
            let mut vars = builder.create_group("vars");
            let opaque = Datatype::Opaque { size: 4, tag: Vec::new() };
            vars.create_dataset("0").with_raw_data(opaque, vec![0; 8], 2);
            builder.add_group(vars.finish());
        });
        assert!(text.contains("little-endian numbers"), "{text}");
        let text = refused(|builder| {
            let mut vars = builder.create_group("vars");
            vars.create_dataset("0").with_f32_data(&[0.0; 64]).with_shape(&[64]).with_chunks(&[16]).with_deflate(6);
            builder.add_group(vars.finish());
        });
        assert!(text.contains("chunked"), "{text}");
        let text = refused(|builder| {
            let mut vars = builder.create_group("vars");
            vars.create_dataset("kernel").with_f32_data(&[0.0]).with_shape(&[1]);
            builder.add_group(vars.finish());
        });
        assert!(text.contains("vars"), "{text}");
        assert!(WeightsFile::open(b"not HDF5".to_vec(), "file".into(), Meter::new("file", 0)).is_err());
    }
}
