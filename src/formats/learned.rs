//! What Keras's IntegerLookup has learned by `adapt`: it stands in no config, but beside it in a `.keras` file.
//!
//! The vocabulary is a text with a number in each line, and the weights of `tf_idf` are a dataset among the model's weights. Both are
//! put into the config, where Keras has what is stated, so that a layer is read of its config alone.

use std::collections::HashMap;
use std::io::{Read, Seek};

use serde_json::Value as Json;

use super::hdf5::WeightsFile;
use super::keras::{Archive, WEIGHTS};
use super::weights::sibling;
use crate::budget::Meter;
use crate::{Error, Result};

/// The class, whose name is in a config that has anything to be put into it.
const CLASS: &str = "IntegerLookup";

/// The dataset that Keras keeps the weights in.
pub(super) const IDF_WEIGHTS: &str = "idf_weights";

/// A value for a config, by its JSON pointer.
pub(super) type Learned = (String, Json);

/// What the lookups of `config` have learned, as far as the file says.
///
/// # Errors
/// [`Error::Format`] for a vocabulary that is no list of whole numbers, and for weights that cannot be read.
pub(super) fn learned(config: &[u8], archive: &mut Archive<'_, impl Read + Seek>) -> Result<Vec<Learned>> {
    let mut made = Vec::new();
    if !config.windows(CLASS.len()).any(|part| part == CLASS.as_bytes()) {
        return Ok(made);
    }
    let json = super::json(config, &format!("{}, config.json", archive.place()), archive.meter())?;
    let mut lookups = Vec::new();
    find(&json, "", "", &mut lookups);
    let mut weights = None;
    for Lookup { pointer, group, weighed } in lookups {
        let name = format!("assets/{group}/vocabulary.txt");
        let Some(text) = archive.entry(&name)? else { continue };
        let place = format!("{}, {name}", archive.place());
        let text = String::from_utf8(text).map_err(|error| Error::format(&place, error.to_string()))?;
        archive.meter().array(text.lines().count() as u64, size_of::<Json>())?;
        let number = |line: &str| {
            let number = line.trim().parse::<i64>();
            number.map(Json::from).map_err(|_| Error::format(&place, format!("{line:?} must be a whole number")))
        };
        let vocabulary = text.trim_end().lines().map(number).collect::<Result<Vec<_>>>()?;
        if weighed {
            let file: &mut WeightsFile = match &mut weights {
                Some(file) => file,
                None => {
                    let (place, bytes) = (format!("{}, {WEIGHTS}", archive.place()), archive.weights()?);
                    let meter = Meter::new(archive.place(), bytes.len());
                    weights.insert(WeightsFile::open(bytes, place, meter)?)
                }
            };
            let found = file.find(&format!("{group}/vars"), IDF_WEIGHTS)?;
            // Behind those of the vocabulary there are zeros, up to `max_tokens`.
            let values = file.read(&found)?.values.into_iter().take(vocabulary.len()).map(f64::from);
            made.push((format!("{pointer}/idf_weights"), values.map(Json::from).collect()));
        }
        made.push((format!("{pointer}/vocabulary"), vocabulary.into()));
    }
    Ok(made)
}

/// Puts what was `learned` into `config`.
pub(super) fn put_into(config: &mut Json, learned: &[Learned]) {
    for (pointer, value) in learned {
        if let Some(place) = config.pointer_mut(pointer) {
            *place = value.clone();
        }
    }
}

/// A lookup without a vocabulary in its config.
struct Lookup {
    /// Where its config is.
    pointer: String,
    /// What the file calls it.
    group: String,
    /// Whether it has weights of `tf_idf`.
    weighed: bool,
}

/// The lookups of the model `json`, which is at `pointer` and has a `group` in the file, with those of models within it.
fn find(json: &Json, pointer: &str, group: &str, lookups: &mut Vec<Lookup>) {
    let mut siblings = HashMap::new();
    for (index, layer) in json["config"]["layers"].as_array().into_iter().flatten().enumerate() {
        let Some(class) = layer["class_name"].as_str() else { continue };
        let (pointer, config) = (format!("{pointer}/config/layers/{index}"), &layer["config"]);
        let group = format!("{group}layers/{}", sibling(&mut siblings, class));
        if config["layers"].is_array() {
            find(layer, &pointer, &format!("{group}/"), lookups);
        } else if class == CLASS && config["vocabulary"].is_null() {
            let weighed = config["output_mode"] == "tf_idf";
            lookups.push(Lookup { pointer: format!("{pointer}/config"), group, weighed });
        }
    }
}
