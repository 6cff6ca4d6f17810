//! What a drawing shows.

use super::*;

const PARTS: &[(&str, &str)] = &[("good", "yes"), ("bad", "no")];

fn chart(rows: &[(&str, [u64; 2])]) -> Chart {
    let rows: Vec<_> = rows
        .iter()
        .map(|(label, values)| ((*label).to_owned(), values.to_vec()))
        .collect();
    Chart::of(("Holds", "few".to_owned()), PARTS, &rows)
}

#[test]
fn the_highest_bar_is_as_high_as_the_drawing_and_parts_stand_one_upon_the_other() {
    let chart = chart(&[("Mon", [3, 1]), ("Tue", [0, 2])]);
    let parts: Vec<_> = chart.bars[0]
        .parts
        .iter()
        .map(|part| (part.y, part.height))
        .collect();
    assert_eq!(parts, [(40, 120), (0, 40)]);
    let parts: Vec<_> = chart.bars[1]
        .parts
        .iter()
        .map(|part| (part.class, part.y))
        .collect();
    assert_eq!(parts, [("bad", 80)]);
}

#[test]
fn a_drawing_says_what_it_shows_and_carries_no_style_of_its_own() {
    let html = chart(&[("<Mon>", [1, 0])]).render().unwrap();
    assert!(
        html.contains("<title id=") && html.contains("<desc id="),
        "{html}"
    );
    assert!(!html.contains("style=") && !html.contains("<Mon>"), "{html}");
}

#[test]
fn numbers_without_end_are_drawn_and_nothing_is_drawn_of_nothing() {
    let huge = chart(&[("Mon", [u64::MAX / 2, 1])]);
    assert_eq!(huge.bars[0].parts.len(), 2);
    assert!(chart(&[("Mon", [0, 0])]).is_empty() && chart(&[]).is_empty());
}
