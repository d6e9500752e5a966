//! Recorded statistics of a model's layers.

use std::path::Path;

use serde_json::Value;

use crate::budget::Meter;
use crate::model::LayerStatistics;
use crate::{Error, Result};

/// Statistics of layers from a JSON file: a list of objects with `layer`, `shape`, `mean`, `std`, `min`, `max`, and, if
/// they were recorded, `first8` and `last4`. Inputs, of `class` `InputLayer`, are left out.
///
/// # Errors
/// [`Error::Format`] where the file cannot be read or an entry lacks a field.
pub fn read_layer_statistics(path: impl AsRef<Path>) -> Result<Vec<LayerStatistics>> {
    let path = path.as_ref();
    let place = path.display().to_string();
    let fail = |problem: String| Error::format(&*place, problem);
    let bytes = super::read(path)?;
    let json = super::json(&bytes, &place, &Meter::new(&*place, bytes.len()))?;
    let entries = json.as_array().ok_or_else(|| fail("a list of layers must stand here".to_owned()))?;
    let layers = entries.iter().enumerate().filter(|(_, entry)| entry["class"] != "InputLayer");
    layers
        .map(|(index, entry)| {
            let lacking = |field: &str| fail(format!("entry {index} has no {field}, or another than is read"));
            let number = |field: &str| entry[field].as_f64().ok_or_else(|| lacking(field));
            let list = |field: &str| match &entry[field] {
                Value::Null => Ok(Vec::new()),
                list => {
                    let numbers = list.as_array().and_then(|list| list.iter().map(Value::as_f64).collect());
                    numbers.ok_or_else(|| lacking(field))
                }
            };
            let extents = entry["shape"].as_array().and_then(|shape| {
                shape.iter().map(|extent| usize::try_from(extent.as_u64()?).ok()).collect::<Option<Vec<_>>>()
            });
            Ok(LayerStatistics {
                layer: entry["layer"].as_str().ok_or_else(|| lacking("layer"))?.to_owned(),
                shape: extents.ok_or_else(|| lacking("shape"))?.into(),
                mean: number("mean")?,
                std: number("std")?,
                min: number("min")?,
                max: number("max")?,
                first: list("first8")?,
                last: list("last4")?,
            })
        })
        .collect()
}
