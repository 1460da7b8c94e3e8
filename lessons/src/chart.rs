//! Curves as a picture: an SVG that any browser shows.

use std::fmt::Write;

/// In the order of the curves; told apart by those who see no red or no green, too.
const COLOURS: [&str; 7] =
    ["#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#777777"];
/// Where the curves of a panel are drawn, in its 800 by 420.
const LEFT: f64 = 80.0;
const TOP: f64 = 40.0;
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 310.0;
const PANEL: f64 = 420.0;

/// One coordinate system. The horizontal axis is logarithmic, so its values must be 1 or more; it
/// is marked where there are points.
pub struct Panel<'a> {
    pub title: &'a str,
    pub across: &'a str,
    pub scale: Scale,
    pub curves: Vec<(&'a str, Vec<(f64, f64)>)>,
}

/// The vertical axis.
pub enum Scale {
    /// From 0 up.
    Linear,
    /// From a power of ten to a power of ten; what is not above 0 has no place.
    Logarithmic,
}

/// Draws the panels, one below the other.
pub fn svg(panels: &[Panel]) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 800 {0}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"800\" height=\"{0}\" fill=\"white\"/>\n",
        PANEL * panels.len() as f64
    );
    for (index, panel) in panels.iter().enumerate() {
        let down = PANEL * index as f64;
        // Writing to a string does not fail.
        let _ = writeln!(text, "<g transform=\"translate(0 {down})\">");
        draw(&mut text, panel);
        text.push_str("</g>\n");
    }
    text + "</svg>\n"
}

fn draw(text: &mut String, panel: &Panel) {
    let points = || panel.curves.iter().flat_map(|(_, points)| points);
    let widest = points().map(|point| point.0).fold(10.0, f64::max);
    let across = |x: f64| LEFT + WIDTH * x.log10() / widest.log10();
    let marks = panel.scale.marks(points().map(|point| point.1));
    let (lowest, highest) = (marks[0], marks[marks.len() - 1]);
    let down = |y: f64| TOP + HEIGHT * (1.0 - panel.scale.part(y, lowest, highest));
    let _ = writeln!(
        text,
        "<text x=\"{LEFT}\" y=\"18\" font-weight=\"bold\">{}</text>\n\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
        panel.title,
        LEFT + WIDTH,
        TOP + HEIGHT + 40.0,
        panel.across
    );
    for value in marks {
        let y = down(value);
        let _ = writeln!(
            text,
            "<path d=\"M{LEFT} {y:.1}H{}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            LEFT + WIDTH,
            LEFT - 8.0,
            y + 4.0
        );
    }
    let mut marks: Vec<f64> = points().map(|point| point.0).collect();
    marks.sort_unstable_by(f64::total_cmp);
    marks.dedup();
    for mark in marks {
        let _ = writeln!(
            text,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{mark}</text>",
            across(mark),
            TOP + HEIGHT + 20.0
        );
    }
    for (index, (name, points)) in panel.curves.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let mut line = String::new();
        let drawn = points.iter().map(|&(x, y)| (across(x), down(y)));
        for (x, y) in drawn.filter(|(_, y)| y.is_finite()) {
            let _ = write!(line, "{x:.1},{y:.1} ");
            let _ = writeln!(
                text,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\" fill=\"{colour}\"/>"
            );
        }
        let _ = writeln!(
            text,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" \
             stroke-width=\"2\"/><text x=\"{}\" y=\"{}\" fill=\"{colour}\">{name}</text>",
            line.trim_end(),
            LEFT + WIDTH + 20.0,
            TOP + 20.0 * (index + 1) as f64
        );
    }
}

impl Scale {
    /// What is written at the axis, from its lower end to its upper.
    fn marks(&self, values: impl Iterator<Item = f64> + Clone) -> Vec<f64> {
        let highest = values.clone().fold(f64::MIN_POSITIVE, f64::max);
        match self {
            Scale::Linear => {
                // The first of 1, 2, 5, 10, 20, … of which at most five reach above all.
                let mut step = 10_f64.powf(highest.log10().floor() - 1.0);
                for factor in [2.0, 2.5, 2.0].into_iter().cycle() {
                    if step * 5.0 >= highest {
                        break;
                    }
                    step *= factor;
                }
                let count = (highest / step).ceil() as u32;
                (0..=count).map(|n| step * f64::from(n)).collect()
            }
            Scale::Logarithmic => {
                let lowest = values.filter(|&v| v > 0.0).fold(highest, f64::min);
                let (from, to) = (lowest.log10().floor(), highest.log10().ceil());
                let to = to.max(from + 1.0) as i32;
                (from as i32..=to).map(|n| 10_f64.powi(n)).collect()
            }
        }
    }

    /// How far up a value stands, from 0 to 1.
    fn part(&self, value: f64, lowest: f64, highest: f64) -> f64 {
        match self {
            Scale::Linear => (value - lowest) / (highest - lowest),
            Scale::Logarithmic => {
                (value / lowest).log10() / (highest / lowest).log10()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Panel, Scale, svg};

    fn picture(scale: Scale, points: &[(f64, f64)]) -> String {
        let curves = vec![("a", points.to_vec())];
        svg(&[Panel { title: "t", across: "x", scale, curves }])
    }

    #[test]
    fn a_point_stands_where_it_belongs() {
        let linear = picture(Scale::Linear, &[(1.0, 0.0), (100.0, 8.0)]);
        assert!(linear.contains("points=\"80.0,350.0 640.0,40.0\""), "{linear}");
        assert!(linear.contains(">100</text>") && linear.contains(">8</text>"));
        let power = picture(Scale::Logarithmic, &[(1.0, 0.01), (100.0, 1.0)]);
        assert!(power.contains("points=\"80.0,350.0 640.0,40.0\""), "{power}");
    }

    #[test]
    fn marks_are_round_and_reach_above_all() {
        let marks = |values: &[f64]| Scale::Linear.marks(values.iter().copied());
        assert_eq!(
            marks(&[93_500.0]),
            [0.0, 2e4, 4e4, 6e4, 8e4, 1e5],
            "five steps at most"
        );
        assert_eq!(marks(&[1.5, 0.2]), [0.0, 0.5, 1.0, 1.5]);
        let powers = Scale::Logarithmic.marks([0.02, 30.0].into_iter());
        assert_eq!(powers.len(), 5, "{powers:?}");
    }

    #[test]
    fn no_point_is_no_crash() {
        assert!(picture(Scale::Linear, &[]).ends_with("</svg>\n"));
        let zero = picture(Scale::Logarithmic, &[(1.0, 1.0), (2.0, 0.0)]);
        assert!(zero.contains("points=\"80.0,350.0\""), "{zero}");
    }
}
