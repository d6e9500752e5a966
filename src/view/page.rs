//! A model as one page of HTML that needs nothing else.
//!
//! What can be seen without a script, the closed layers and the tables, is in the page itself. Maps come in sheets, one PNG
//! for each layer, which the script decodes where the layer is open and near.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::graph::Links;
use super::live::{self, Live};
use super::maps::{Extents, Maps, Pixel, ValueRange, elements, grid};
use super::picture::{MARKER, Sheet, rgb_png, short, spoken};
use super::{LayerView, Status, Viewer};
use crate::Result;
use crate::budget::Meter;
use crate::file::PAGE;
use crate::model::{grouped, top};
use crate::text::printable_name;

/// Shades of maps in a page: more cannot be told apart, and fewer do where the sheets would be too large.
const SHADES: [u8; 3] = [64, 13, 5];
/// The most bytes of sheets that are taken before there are fewer shades: 12 MB as text.
const SHEETS: usize = 9_000_000;
/// The most scores that are shown.
const SCORES: usize = 10;

/// How [`Viewer::page`] writes a page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    title: Option<String>,
    flat: bool,
    labels: Vec<String>,
    note: Option<String>,
    live: Option<Live>,
}

/// A PNG with a layer's maps, and how many of them stand in a row.
type PackedMaps = (Vec<u8>, usize);

impl Page {
    /// The model's name for a title, layers tilted, labels by number.
    pub fn new() -> Self {
        Self::default()
    }

    /// The title; the model's name by default.
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Whether layers first lie flat on the page; false by default. The reader may tilt them.
    pub fn flat(mut self, flat: bool) -> Self {
        self.flat = flat;
        self
    }

    /// Names of the labels that the model gives scores to.
    pub fn labels(mut self, labels: impl IntoIterator<Item = String>) -> Self {
        self.labels = labels.into_iter().collect();
        self
    }

    /// A line below the title: where the input comes from, for instance.
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// What the page computes with, where it is to: it then has a pad to draw on, takes pictures and models that are dropped on
    /// it, and every layer follows. By default it shows what was computed when it was written.
    pub fn live(mut self, live: Live) -> Self {
        self.live = Some(live);
        self
    }
}

impl Viewer<'_> {
    /// The page of the model as it is now: each layer open or closed, with what it made of the last input.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) for layers of more than 2^28 values, and where their maps together take more than
    /// the [`Budget`](crate::formats::Budget) for one file: a small file may describe large ones.
    pub fn page(&self, page: &Page) -> Result<String> {
        let meter = Meter::new(&*self.title, 0);
        for maps in self.layers.iter().filter_map(LayerView::maps) {
            meter.array(maps.extents.room() as u64, 2 * size_of::<Pixel>())?;
        }
        let (shades, sheets) = self.sheets_within(SHEETS)?;
        let title = escaped(page.title.as_deref().unwrap_or(&self.title));
        let mut html = String::new();
        let _ = write!(
            html,
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{PAGE}\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data: blob:; \
             style-src 'unsafe-inline'; script-src 'unsafe-inline'{}\">\n\
             <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{}</style>\n</head>\n\
             <body class=\"{}{}\">\n<header>\n<h1>{title}</h1>\n<p class=\"facts\">{}</p>\n",
            page.live.as_ref().map_or("", Live::policy),
            concat!(include_str!("page.css"), include_str!("scene.css"), include_str!("enlarge.css")),
            if page.flat { "flat" } else { "tilted" },
            if page.live.is_some() { " live" } else { "" },
            self.facts(),
        );
        if let Some(note) = &page.note {
            let _ = writeln!(html, "<p class=\"facts\">{}</p>", escaped(note));
        }
        html.push_str("</header>\n");
        match &page.live {
            Some(live) => {
                html.push_str(live::ENDS);
                if live.trains() {
                    html.push_str(live::TRAINING);
                }
            }
            None => self.write_ends(&mut html, &page.labels)?,
        }
        html.push_str(TOOLS);
        html.push_str(SCENE);
        html.push_str("<main>\n<ol class=\"layers\" id=\"layers\">\n");
        for (place, layer) in self.layers.iter().enumerate() {
            self.write_layer(&mut html, place, layer)?;
        }
        html.push_str("</ol>\n</main>\n");
        html.push_str(ENLARGED);
        html.push_str("<p id=\"told\" role=\"status\" hidden></p>\n");
        let _ = writeln!(
            html,
            "<script type=\"application/json\" id=\"model\">{}</script>",
            in_script(&self.data(&sheets, shades, &page.labels))
        );
        for (place, sheet) in sheets.iter().enumerate() {
            if let Some((file, _)) = sheet {
                let text = STANDARD.encode(file);
                let _ = writeln!(html, "<script type=\"text/plain\" id=\"sheet-{place}\">{text}</script>");
            }
        }
        let _ = writeln!(html, "<script>\n{}</script>", SCRIPT);
        if let Some(live) = &page.live {
            live.write(&mut html, &self.layers[..self.inputs()]);
        }
        html.push_str("</body>\n</html>\n");
        Ok(html)
    }

    /// `14 layers · 9,466 parameters · 0.91 ms`.
    fn facts(&self) -> String {
        let layers = self.layers.iter().filter(|layer| layer.class_name() != "InputLayer").count();
        let mut facts = vec![format!("{layers} layers")];
        facts.push(format!("{} parameters", grouped(self.parameters)));
        let maps: usize = self.layers.iter().filter_map(LayerView::map_count).sum();
        facts.push(format!("{} maps", grouped(maps as u64)));
        let times: Option<Vec<f64>> = self.timed().map(|layer| layer.time().map(|time| time.as_secs_f64())).collect();
        if let Some(times) = times.filter(|times| !times.is_empty()) {
            facts.push(format!("{} in all layers", milliseconds(times.iter().sum())));
        }
        facts.join(" · ")
    }

    /// The number of inputs, which stand before the layers.
    fn inputs(&self) -> usize {
        self.layers.iter().take_while(|layer| layer.class_name() == "InputLayer").count()
    }

    fn timed(&self) -> impl Iterator<Item = &LayerView> {
        self.layers.iter().filter(|layer| layer.class_name() != "InputLayer")
    }

    /// The number of shades, and the sheets: the most shades with which they take at most `budget` bytes, or else in the fewest.
    fn sheets_within(&self, budget: usize) -> Result<(u8, Vec<Option<PackedMaps>>)> {
        let [many @ .., fewest] = SHADES;
        for shades in many {
            let sheets = self.sheets(shades)?;
            if size(&sheets) <= budget {
                return Ok((shades, sheets));
            }
        }
        Ok((fewest, self.sheets(fewest)?))
    }

    /// The maps of each layer that has several, with how many stand in a row.
    fn sheets(&self, shades: u8) -> Result<Vec<Option<PackedMaps>>> {
        let sheet = |layer: &LayerView| {
            let Some(maps) = layer.maps().filter(|maps| maps.extents.count > 1 && layer.values.is_some()) else {
                return Ok(None);
            };
            // As near to a square as may be: browsers limit the sides of pictures.
            let (count, height, width) = (maps.extents.count, maps.extents.rows(), maps.extents.width);
            let columns = ((count * height).div_ceil(width.max(1))).isqrt().clamp(1, count);
            let file = Sheet::packed(&maps, columns)?.png(layer.look(), self.look.background, shades)?;
            Ok(Some((file, columns)))
        };
        self.layers.iter().map(sheet).collect()
    }

    /// The input as a picture, and the scores.
    fn write_ends(&self, html: &mut String, labels: &[String]) -> Result<()> {
        let mut ends = String::new();
        for layer in self.layers.iter().filter(|layer| layer.class_name() == "InputLayer") {
            if let Some((file, width, height)) = self.input_picture(layer)? {
                let _ = write!(
                    ends,
                    "<figure>\n<img class=\"pixels\" width=\"{width}\" height=\"{height}\" alt=\"The input {name}, {shape}\" \
                     src=\"data:image/png;base64,{}\">\n<figcaption>{name} · {shape}</figcaption>\n</figure>\n",
                    STANDARD.encode(file),
                    name = escaped(layer.name()),
                    shape = shape_text(layer.output_shape()),
                );
            }
        }
        for &place in &self.outputs {
            let layer = &self.layers[place];
            if let (Some(values), Some([count])) = (layer.neural_value(), layer.output_shape()) {
                write_scores(&mut ends, layer, values, *count, labels);
            }
        }
        if !ends.is_empty() {
            let _ = write!(html, "<section class=\"ends\" aria-label=\"Input and output\">\n{ends}</section>\n");
        }
        Ok(())
    }

    /// An input of one channel in grey, of three or four in colour, from its smallest value to its greatest.
    fn input_picture(&self, layer: &LayerView) -> Result<Option<(Vec<u8>, usize, usize)>> {
        let (Some(values), Some(&[height, width, channels])) = (layer.neural_value(), layer.output_shape()) else {
            return Ok(None);
        };
        if !matches!(channels, 1 | 3 | 4) {
            return Ok(None);
        }
        let (least, most) = Maps::new(&[height, width, channels], values).full_range().unwrap_or((0.0, 1.0));
        let span = if most > least { most - least } else { 1.0 };
        let level = |value: f32| ((value - least) / span * 255.0).round() as u8;
        let pixel = |pixel: &[f32]| match pixel {
            pixel if pixel.iter().any(|value| !value.is_finite()) => MARKER.0,
            [grey] => [level(*grey); 3],
            [red, green, blue, ..] => [red, green, blue].map(|&value| level(value)),
            _ => [0; 3],
        };
        let bytes: Vec<u8> = values.chunks(channels).flat_map(pixel).collect();
        Ok(Some((rgb_png(width, height, &bytes)?, width, height)))
    }

    fn write_layer(&self, html: &mut String, place: usize, layer: &LayerView) -> Result<()> {
        let (name, look) = (escaped(layer.name()), layer.look());
        let maps = layer.maps();
        let count = maps.map_or(0, |maps| maps.extents.count);
        let open = layer.status() == Status::Open;
        let _ = write!(
            html,
            "<li class=\"layer\" id=\"layer-{place}\" style=\"--color:{}\">\n<div class=\"about\">\n<h2>{name}</h2>\n\
             <p class=\"kind\">{}</p>\n<dl>\n",
            look.color,
            escaped(layer.class_name()),
        );
        let mut fact = |term: &str, text: &str| {
            let _ = writeln!(html, "<div><dt>{term}</dt><dd>{text}</dd></div>");
        };
        let sources: Vec<_> = layer.inputs().iter().map(|&input| &self.layers[input]).collect();
        if !sources.is_empty() {
            let shapes: Vec<_> = sources.iter().map(|source| shape_text(source.output_shape())).collect();
            fact("Input", &shapes.join(", "));
        }
        fact("Output", &shape_text(layer.output_shape()));
        if layer.count_params() > 0 {
            fact("Parameters", &grouped(layer.count_params()));
        }
        if let Some(time) = layer.time() {
            fact("Time", &milliseconds(time.as_secs_f64()));
        }
        if layer.neural_value().is_some() {
            let maps = maps.as_ref();
            fact("Values", &spoken(maps.and_then(Maps::full_range)));
            if let Some((least, most)) = maps.and_then(Maps::full_range) {
                let (look, ends) = (layer.look(), [least, most].map(short));
                let faint = look.color.over(self.look.background, look.min_opacity);
                let (term, ends) = match count {
                    0 | 1 => ("Scale", ends),
                    _ => ("Each map", ["smallest", "greatest"].map(str::to_owned)),
                };
                let ramp = format!("<span class=\"ramp\" style=\"--faint:{faint};--full:{}\"></span>", look.color);
                fact(term, &format!("{} {ramp} {}", ends[0], ends[1]));
            }
            if let Some(marked) = maps.map(Maps::marked).filter(|&marked| marked > 0) {
                fact("Not finite", &grouped(marked as u64));
            }
        }
        // The line that joins it to the layer before is drawn; others are told as well.
        if sources.len() > 1 || layer.inputs().iter().any(|&input| input + 1 != place) {
            let links: Vec<_> = layer
                .inputs()
                .iter()
                .map(|&input| format!("<a href=\"#layer-{input}\">{}</a>", escaped(self.layers[input].name())))
                .collect();
            fact("Reads", &links.join(", "));
        }
        html.push_str("</dl>\n");
        if count > 1 {
            let verb = if open { "close" } else { "open" };
            let _ = writeln!(
                html,
                "<button type=\"button\" class=\"toggle\" aria-expanded=\"{open}\" aria-controls=\"stage-{place}\" \
                 style=\"--ratio:{}\" aria-label=\"{name}: {verb} {count} maps\">{count} maps</button>",
                look.close_button.ratio,
            );
        }
        let _ = write!(html, "</div>\n<div class=\"stage\" id=\"stage-{place}\">\n");
        match maps {
            Some(maps) if maps.extents.width > 0 => self.write_closed(html, layer, &maps)?,
            _ => html.push_str("<p class=\"kind\">Its shape depends on the input.</p>\n"),
        }
        html.push_str("</div>\n</li>\n");
        Ok(())
    }

    /// The one map of a layer, or the one for all.
    fn write_closed(&self, html: &mut String, layer: &LayerView, maps: &Maps) -> Result<()> {
        let (count, height, width) = (maps.extents.count, maps.extents.rows(), maps.extents.width);
        let strategy = layer.look().aggregation_strategy;
        let colored = if layer.class_name() == "InputLayer" && count > 1 { self.input_picture(layer)? } else { None };
        let (pixels, text) = match count {
            1 => (maps.pixels(0), format!("The output of {}", layer.name())),
            _ => (maps.aggregated(strategy), format!("The {} of {count} maps of {}", strategy.name(), layer.name())),
        };
        let (file, text) = match colored {
            // As wide and as high as its maps: it has a value of each for every pixel.
            Some((file, _, _)) => (file, format!("The input {} in colour", layer.name())),
            None => (Sheet::single(maps, &pixels)?.png(layer.look(), self.look.background, SHADES[0])?, text),
        };
        let sheets = if count > 1 { "<i></i><i></i><i></i>" } else { "" };
        let _ = writeln!(
            html,
            "<div class=\"box\"><div class=\"plane\">{sheets}<img class=\"pixels\" width=\"{width}\" height=\"{height}\" \
             alt=\"{}, {}\" src=\"data:image/png;base64,{}\"></div></div>",
            escaped(&text),
            sizes(height, width),
            STANDARD.encode(file),
        );
        Ok(())
    }

    /// What the script needs to know.
    fn data(&self, sheets: &[Option<PackedMaps>], shades: u8, labels: &[String]) -> Value {
        let layer = |(layer, sheet): (&LayerView, &Option<PackedMaps>)| {
            let (look, maps) = (layer.look(), layer.maps());
            let extents = maps.map_or(Extents::of(&[]), |maps| maps.extents);
            let count = extents.count;
            let (columns, rows) = grid(count, look.layer_shape);
            let links = match layer.links {
                Links::All => json!("all"),
                Links::Same => json!("same"),
                Links::Concatenated => json!("concatenated"),
                Links::Groups { outputs, inputs } => json!([outputs, inputs]),
            };
            let range = |range: ValueRange| range.map(|(least, most)| [short(least), short(most)]);
            let ranges: Option<Vec<_>> = maps
                .filter(|_| layer.neural_value().is_some())
                .map(|maps| (0..count).map(|map| range(maps.range(map))).collect());
            json!({
                "name": printable_name(layer.name()),
                "inputs": layer.inputs(),
                "maps": count,
                "slices": extents.slices,
                "height": extents.height,
                "width": extents.width,
                "stretch": extents.stretch(),
                "units": if extents.spatial { None } else { layer.output_shape().map(elements) },
                "columns": columns,
                "rows": rows,
                "links": links,
                "ranges": ranges,
                "sheet": sheet.as_ref().map(|(_, columns)| columns),
                "open": layer.status() == Status::Open,
                "time": look.anime_time,
                "closable": look.close_button.display,
                "colored": layer.class_name() == "InputLayer" && matches!(count, 3 | 4),
                "aggregation": look.aggregation_strategy.name(),
                "faint": look.color.over(self.look.background, look.min_opacity).to_string(),
            })
        };
        json!({
            "layers": self.layers.iter().zip(sheets).map(layer).collect::<Vec<_>>(),
            "outputs": self.outputs,
            "shades": shades,
            "labels": labels.iter().map(|label| printable_name(label)).collect::<Vec<_>>(),
            "relations": self.look.relation_system,
            "texts": self.look.text_system,
        })
    }
}

/// The bytes that the sheets take.
fn size(sheets: &[Option<PackedMaps>]) -> usize {
    sheets.iter().flatten().map(|(file, _)| file.len()).sum()
}

const TOOLS: &str = "\
<div class=\"tools\" role=\"group\" aria-label=\"All layers\">
<button type=\"button\" id=\"open-all\">Open all</button>
<button type=\"button\" id=\"close-all\">Close all</button>
<button type=\"button\" id=\"flat\" aria-pressed=\"false\">Flat</button>
<button type=\"button\" id=\"solid\" aria-pressed=\"false\">3-D</button>
<details>
<summary>How to read it</summary>
<p>A layer shows one map for each of its channels. Closed, it shows one that stands for all of them, pixel by pixel. Each map \
has a scale of its own, from its smallest value, faint, to its greatest, bright, so that maps cannot be compared by their \
brightness; pixels in magenta are NaN or infinite. Maps over one axis are strips; of those over three axes one slice is shown, \
which a slider chooses. An input of three or four channels is shown in its colours. Point at a map, or \
choose one with the slider below an open layer, to see which maps it is made of. Enlarged, a map tells the value at each place, \
on a page that does not compute as exactly as it has shades.</p>
</details>
</div>
<p id=\"scene-problem\" role=\"alert\" hidden></p>
";

/// The view in three dimensions, which the script shows in the place of the list.
const SCENE: &str = "\
<section id=\"scene\" aria-label=\"The model in three dimensions\" hidden>
<canvas tabindex=\"0\" role=\"application\" aria-label=\"The layers in a row\" aria-describedby=\"scene-keys\"></canvas>
<div id=\"scene-names\" aria-hidden=\"true\"></div>
<div class=\"acts\" role=\"group\" aria-label=\"View\">
<button type=\"button\" id=\"scene-all\">Overview</button>
<button type=\"button\" id=\"scene-enlarge\">Enlarge</button>
<button type=\"button\" id=\"scene-nearer\" aria-label=\"Nearer\">+</button>
<button type=\"button\" id=\"scene-farther\" aria-label=\"Farther\">−</button>
</div>
<canvas id=\"scene-strip\" aria-hidden=\"true\"></canvas>
<p id=\"scene-keys\" class=\"kind\">Drag to turn, with Shift or two fingers to move, scroll or pinch to zoom; click a layer to open it. By keys: \
← and → choose a layer, Enter opens and closes it, ↑ and ↓ choose one of its maps, Space enlarges that, + and − zoom, Shift with the \
arrows turns, Home shows all.</p>
</section>
";

/// A map by itself.
const ENLARGED: &str = "\
<dialog id=\"enlarged\" aria-labelledby=\"enlarged-name\">
<h2 id=\"enlarged-name\"></h2>
<canvas tabindex=\"0\" role=\"application\" aria-label=\"The map, enlarged: the arrow keys choose a place\"></canvas>
<p role=\"status\"></p>
<p class=\"kind\"></p>
<label class=\"pick\">Map<input type=\"range\" id=\"enlarged-map\" min=\"0\"></label>
<label class=\"pick\">Slice<input type=\"range\" id=\"enlarged-slice\" min=\"0\"></label>
<button type=\"button\">Close</button>
</dialog>
";

/// What a page does: its list, its maps by themselves, its scene.
const SCRIPT: &str = concat!(include_str!("page.js"), include_str!("enlarge.js"), include_str!("scene.js"));

/// The best scores of an output as bars.
fn write_scores(html: &mut String, layer: &LayerView, values: &[f32], count: usize, labels: &[String]) {
    let unlabelled = if values.is_empty() {
        Some("no label: the output is empty")
    } else {
        values.iter().all(|score| score.is_nan()).then_some("no label: the output is NaN")
    };
    let best = if unlabelled.is_some() { Vec::new() } else { top(values, SCORES) };
    let finite = || best.iter().map(|&(_, score)| score).filter(|score| score.is_finite());
    let (least, most) = (finite().fold(0.0, f32::min), finite().fold(0.0, f32::max));
    let span = if most > least { most - least } else { 1.0 };
    let percent = |part: f32| (part / span * 1000.0).round() / 10.0;
    let rest =
        if count > SCORES && unlabelled.is_none() { format!(", the best {SCORES} of {count}") } else { String::new() };
    let _ = write!(
        html,
        "<div class=\"scores\">\n<table>\n<caption>Scores · {}{rest}</caption>\n<tbody>\n",
        escaped(layer.name())
    );
    if let Some(reason) = unlabelled {
        let _ = writeln!(html, "<tr><th scope=\"row\">{reason}</th></tr>");
    }
    for (place, &(index, score)) in best.iter().enumerate() {
        let label = labels.get(index).map_or_else(|| index.to_string(), |label| escaped(label));
        let (from, size) = if score.is_finite() { (score.min(0.0) - least, score.abs()) } else { (0.0, 0.0) };
        let _ = writeln!(
            html,
            "<tr{}><th scope=\"row\">{label}</th><td class=\"bar\"><span style=\"margin-left:{}%;width:{}%\"></span></td>\
             <td>{}</td></tr>",
            if place == 0 { " class=\"best\"" } else { "" },
            percent(from),
            percent(size),
            short(score),
        );
    }
    html.push_str("</tbody>\n</table>\n</div>\n");
}

fn shape_text(shape: Option<&[usize]>) -> String {
    match shape {
        None => "depends on the input".into(),
        Some(shape) => shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" × "),
    }
}

fn sizes(height: usize, width: usize) -> String {
    format!("{height} by {width}")
}

fn milliseconds(seconds: f64) -> String {
    let value = seconds * 1e3;
    if value < 0.1 { format!("{:.1} µs", value * 1e3) } else { format!("{value:.2} ms") }
}

/// `text`, which stands in one line, as part of HTML, attributes included.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in printable_name(text).chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// `data` as the text of a `script` element, which nothing in it ends.
fn in_script(data: &Value) -> String {
    data.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::{Sketch, picture};

    #[test]
    fn maps_have_fewer_shades_where_there_is_less_room() {
        let shape = [33, 31, 24];
        let mut sketch = Sketch::new();
        sketch.input("in", &shape).unwrap();
        let mut viewer = Viewer::of_sketch(sketch);
        // Noise, which compresses worst.
        let mut state = 1u64;
        let mut noise = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32
        };
        viewer.layers[0].values = Some((0..shape.iter().product()).map(|_| noise()).collect());
        let sheets = SHADES.map(|shades| viewer.sheets(shades).unwrap());
        let [most, some, fewest] = [0, 1, 2].map(|index| size(&sheets[index]));
        assert!(most > some && some > fewest, "{most} {some} {fewest}");
        for (budget, expected) in [(usize::MAX, 0), (most, 0), (most - 1, 1), (some, 1), (some - 1, 2), (0, 2)] {
            let (shades, found) = viewer.sheets_within(budget).unwrap();
            assert_eq!((shades, &found), (SHADES[expected], &sheets[expected]), "{budget} bytes");
        }
        // The same pictures, each value moved by no more than half a step of either.
        let reds = sheets.map(|sheets| picture::tests::decoded(&sheets[0].as_ref().unwrap().0).2);
        let (least, most) = (reds[0].iter().min().unwrap(), reds[0].iter().max().unwrap());
        for (fewer, shades) in reds[1..].iter().zip(&SHADES[1..]) {
            let half = |shades: u8| f32::from(most - least) / f32::from(shades - 1) / 2.0;
            let furthest = reds[0].iter().zip(fewer).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(f32::from(furthest) <= half(*shades) + half(SHADES[0]) + 1.0, "{furthest} with {shades} shades");
        }
    }
}
