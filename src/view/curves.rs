//! What a training came to as a page: a curve for each number, over the epochs.
//!
//! A curve and that of validation share one picture, so that one sees where a model begins to learn by heart.

use std::fmt::Write;

use super::page::escaped;
use crate::file::PAGE;

/// The size of a picture, and its margins: left, top, right, below.
const SIZE: [f64; 2] = [560.0, 280.0];
const MARGINS: [f64; 4] = [56.0, 12.0, 12.0, 28.0];

/// A page of HTML that needs nothing else: for each name the curve of its numbers by epoch, in one picture with those whose name
/// is the same behind `val_`, and a table of all.
///
/// ```
/// let curves = [("loss", vec![(0, 1.5), (1, 0.5)]), ("val_loss", vec![(0, 1.6), (1, 0.7)])];
/// let html = wgpu_conv::view::curves_page("digits", "on some adapter", &curves);
/// assert!(html.contains("<svg") && html.contains("val_loss"));
/// ```
pub fn curves_page(title: &str, note: &str, curves: &[(&str, Vec<(usize, f64)>)]) -> String {
    let title = escaped(title);
    let mut html = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{PAGE}\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n\
         <title>{title}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{}{}</style>\n</head>\n\
         <body>\n<header>\n<h1>{title}</h1>\n<p class=\"facts\">{}</p>\n</header>\n<main>\n",
        include_str!("page.css"),
        include_str!("curves.css"),
        escaped(note),
    );
    let of = |name: &str| curves.iter().find(|(known, _)| *known == name).map(|(_, points)| &points[..]);
    for (name, points) in curves {
        let alone = name.strip_prefix("val_").is_none_or(|trained| of(trained).is_none());
        if alone {
            picture(&mut html, name, points, of(&format!("val_{name}")));
        }
    }
    html.push_str("</main>\n<table class=\"epochs\">\n<caption>Every epoch</caption>\n<thead><tr><th>epoch</th>");
    for (name, _) in curves {
        let _ = write!(html, "<th>{}</th>", escaped(name));
    }
    html.push_str("</tr></thead>\n<tbody>\n");
    let mut epochs: Vec<usize> = curves.iter().flat_map(|(_, points)| points.iter().map(|(epoch, _)| *epoch)).collect();
    epochs.sort_unstable();
    epochs.dedup();
    for epoch in epochs {
        let _ = write!(html, "<tr><th>{}</th>", epoch + 1);
        for (_, points) in curves {
            let value = points.iter().find(|(known, _)| *known == epoch);
            let _ = write!(html, "<td>{}</td>", value.map(|(_, value)| short(*value)).unwrap_or_default());
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody>\n</table>\n</body>\n</html>\n");
    html
}

fn short(value: f64) -> String {
    if value != 0.0 && (value.abs() < 1e-3 || value.abs() >= 1e5) {
        format!("{value:.3e}")
    } else {
        format!("{value:.4}")
    }
}

/// One picture: the points of a number, and those of its validation.
fn picture(html: &mut String, name: &str, trained: &[(usize, f64)], validated: Option<&[(usize, f64)]>) {
    let both = || trained.iter().chain(validated.unwrap_or_default()).filter(|(_, value)| value.is_finite());
    let range = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)))
    };
    let (mut low, mut high) = range(&mut both().map(|(_, value)| *value));
    let (first, last) = range(&mut both().map(|(epoch, _)| *epoch as f64 + 1.0));
    let _ = write!(html, "<figure class=\"curve\">\n<h2>{}</h2>\n", escaped(name));
    if low > high {
        html.push_str("<p class=\"facts\">It was never a number.</p>\n</figure>\n");
        return;
    }
    if low == high {
        (low, high) = (low - 0.5, high + 0.5);
    }
    let [left, top, right, below] = MARGINS;
    let [width, height] = SIZE;
    let across = |epoch: usize| {
        let share = if last > first { (epoch as f64 + 1.0 - first) / (last - first) } else { 0.5 };
        left + share * (width - left - right)
    };
    let down = |value: f64| top + (high - value) / (high - low) * (height - top - below);
    let told = format!("{name} by epoch, from {} to {}", short(low), short(high));
    let _ = writeln!(html, "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">", escaped(&told));
    for part in 0..=4 {
        let value = low + (high - low) * f64::from(part) / 4.0;
        let y = down(value);
        let _ = writeln!(
            html,
            "<line class=\"grid\" x1=\"{left}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text class=\"value\" x=\"{}\" y=\"{:.1}\">{}</text>",
            width - right,
            left - 6.0,
            y + 4.0,
            short(value),
        );
    }
    let _ = writeln!(
        html,
        "<text x=\"{left}\" y=\"{0}\">epoch {first}</text><text class=\"value\" x=\"{1}\" y=\"{0}\">epoch {last}</text>",
        height - 6.0,
        width - right,
    );
    for (class, points) in [("trained", Some(trained)), ("validated", validated)] {
        let sound: Vec<_> = points.unwrap_or_default().iter().filter(|(_, value)| value.is_finite()).collect();
        let line: Vec<String> =
            sound.iter().map(|(epoch, value)| format!("{:.1},{:.1}", across(*epoch), down(*value))).collect();
        if !line.is_empty() {
            let _ = writeln!(html, "<polyline class=\"{class}\" points=\"{}\"/>", line.join(" "));
        }
        for (epoch, value) in sound.into_iter().filter(|_| line.len() <= 60) {
            let _ = writeln!(
                html,
                "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>epoch {}: {}</title></circle>",
                across(*epoch),
                down(*value),
                epoch + 1,
                short(*value),
            );
        }
    }
    html.push_str("</svg>\n");
    if validated.is_some() {
        let name = escaped(name);
        let _ = writeln!(
            html,
            "<figcaption><span class=\"key trained\"></span>{name} <span class=\"key validated\"></span>val_{name}</figcaption>"
        );
    }
    html.push_str("</figure>\n");
}

#[cfg(test)]
mod tests {
    use super::curves_page;

    #[test]
    fn curves_share_a_picture_with_validation() {
        let curves = [
            ("loss", vec![(0, 2.0), (1, f64::NAN), (2, 1.0)]),
            ("val_loss", vec![(2, 1.5)]),
            ("<b>", vec![(0, f64::NAN)]),
            ("flat", vec![(4, 0.5)]),
        ];
        let html = curves_page("a & b", "note", &curves);
        assert_eq!(html.matches("<svg").count(), 2, "loss with val_loss, and flat");
        assert_eq!(html.matches("<polyline class=\"trained\"").count(), 2);
        assert_eq!(html.matches("<polyline class=\"validated\"").count(), 1);
        // From the first epoch on the left to the last on the right, the larger value above.
        assert!(html.contains("points=\"56.0,12.0 548.0,252.0\""), "{html}");
        assert!(html.contains("a &amp; b") && html.contains("&lt;b&gt;") && !html.contains("<b>"));
        assert_eq!(html.matches("<tr>").count(), 1 + 4);
    }
}
