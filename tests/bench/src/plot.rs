//! The cases that grow, as one picture: four panels, both axes logarithmic.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;

use crate::contender::Contender;
use crate::result::{CaseResult, PointResult, Results, Samples};

const SIZE: (u32, u32) = (960, 680);
const FONT: &str = "sans-serif";

/// One panel: a case, and what of it is drawn.
struct Panel {
    case: &'static str,
    title: &'static str,
    unit: &'static str,
    value: fn(&Samples) -> Option<f64>,
}

const PANELS: [Panel; 4] = [
    Panel { case: "growth-cells", title: "Trivial cells", unit: "seconds", value: Samples::median },
    Panel { case: "growth-output", title: "Output of one cell", unit: "seconds", value: Samples::median },
    Panel {
        case: "growth-output",
        title: "Output of one cell",
        unit: "MiB of memory",
        value: Samples::peak_memory,
    },
    Panel {
        case: "backlog",
        title: "A backlog of notebooks that import pandas",
        unit: "seconds",
        value: Samples::median,
    },
];

/// The picture as SVG; `None` if no case that grows was measured.
///
/// # Panics
/// When it cannot be drawn, which only a mistake of ours causes.
pub(crate) fn of(results: &Results) -> Option<String> {
    let panels: Vec<(&Panel, &CaseResult)> = PANELS
        .iter()
        .filter_map(|panel| Some((panel, results.cases.iter().find(|case| case.name == panel.case)?)))
        .filter(|(panel, case)| case.points.iter().any(|point| !values(panel, point).is_empty()))
        .collect();
    if panels.is_empty() {
        return None;
    }
    let mut svg = String::new();
    draw(&panels, &mut svg).unwrap_or_else(|e| panic!("cannot draw the plot: {e}"));
    Some(svg)
}

fn values(panel: &Panel, point: &PointResult) -> Vec<(Contender, f64)> {
    let value = |(contender, samples): (&Contender, &Samples)| Some((*contender, (panel.value)(samples)?));
    point.contenders.iter().filter_map(value).collect()
}

fn draw(panels: &[(&Panel, &CaseResult)], svg: &mut String) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    for ((panel, case), area) in panels.iter().zip(root.split_evenly((2, 2))) {
        draw_panel(panel, case, &area)?;
    }
    root.present()?;
    Ok(())
}

fn draw_panel(
    panel: &Panel,
    case: &CaseResult,
    area: &DrawingArea<SVGBackend<'_>, Shift>,
) -> Result<(), Box<dyn Error>> {
    let all: Vec<f64> =
        case.points.iter().flat_map(|point| values(panel, point)).map(|(_, value)| value).collect();
    let sizes: Vec<f64> = case.points.iter().map(size).collect();
    let (left, right) = range(&sizes);
    let (bottom, top) = range(&all);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, (FONT, 16))
        .margin(12)
        .x_label_area_size(36)
        .y_label_area_size(56)
        .build_cartesian_2d((left..right).log_scale(), (bottom / 1.5..top * 1.5).log_scale())?;
    chart
        .configure_mesh()
        .x_desc(case.axis.unwrap_or_default())
        .y_desc(panel.unit)
        .x_label_formatter(&|value| format!("{value}"))
        .y_label_formatter(&|value| format!("{value}"))
        .label_style((FONT, 12))
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .draw()?;
    for contender in Contender::ALL {
        let points: Vec<(f64, f64)> = case
            .points
            .iter()
            .filter_map(|point| Some((size(point), (panel.value)(point.contenders.get(&contender)?)?)))
            .collect();
        if points.is_empty() {
            continue;
        }
        let colour = colour(contender);
        chart
            .draw_series(LineSeries::new(points, colour.stroke_width(2)).point_size(3))?
            .label(contender.title())
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font((FONT, 12))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    Ok(())
}

/// Distinct also to those who do not see all colours (Okabe and Ito).
fn colour(contender: Contender) -> RGBColor {
    match contender {
        Contender::Bare => RGBColor(120, 120, 120),
        Contender::Rnbexec => RGBColor(0, 114, 178),
        Contender::Papermill => RGBColor(213, 94, 0),
        Contender::PapermillOnce => RGBColor(230, 159, 0),
    }
}

fn size(point: &PointResult) -> f64 {
    u32::try_from(point.size).map_or(f64::from(u32::MAX), f64::from)
}

fn range(values: &[f64]) -> (f64, f64) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    (least, if most > least { most } else { least * 2.0 })
}
