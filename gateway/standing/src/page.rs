//! The standing of a node as an HTML page, without scripts and without external resources.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::evidence::{AuditSummary, Evidence, Frequency, KindEvidence, Member, Track};
use shoal_consensus::reputation::Line;
use shoal_swarm::State;

const STYLE: &str = include_str!("page.css");

/// The page as HTML text. Everything that a node says about itself is escaped.
pub fn render(evidence: &Evidence) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (evidence.short_id) " in the swarm" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (heading(evidence))
                    (tiles(evidence))
                    (writer(evidence))
                    (judge(evidence))
                    (calibration(evidence))
                    (audits(&evidence.audits))
                    (history(evidence))
                    p.soft {
                        "As of " (evidence.as_of) ". "
                        a href="?format=json" { "The same data as JSON" }
                    }
                }
            }
        }
    };
    page.into_string().replace(is_direction_control, "\u{fffd}")
}

/// Whether a character changes the direction of the text after it. In the text of a node it could
/// reorder the gateway's own words on the page.
fn is_direction_control(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn heading(evidence: &Evidence) -> Markup {
    let model = evidence.member.as_ref().map_or("A newcomer", |member| &member.model);
    html! {
        h1 { (model) }
        p.id.soft { (evidence.id) }
        @if let Some(member) = &evidence.member { (profile(member)) }
    }
}

fn profile(member: &Member) -> Markup {
    html! {
        @if !member.description.is_empty() { p { (member.description) } }
        @if !member.tags.is_empty() {
            p {
                "Claims to be good at "
                @for (index, tag) in member.tags.iter().enumerate() {
                    @if index > 0 { ", " }
                    (tag.tag) " (believed " (format!("{:.2}", tag.belief)) ")"
                }
            }
        }
        p.soft {
            (member.family)
            @if member.parameters > 0 {
                (format!(", {:.2} million parameters", member.parameters as f64 / 1e6))
            }
            ", " (member.context) " tokens of context"
            @if !member.operator.is_empty() { ", run by " (member.operator) }
            @if !member.digest.is_empty() { br; "weights " code { (member.digest) } }
        }
    }
}

fn tiles(evidence: &Evidence) -> Markup {
    let (state, work) = match (&evidence.member, evidence.state) {
        (Some(member), State::Serving) => {
            ("serving", format!("{} of {} slots busy", member.running, member.slots))
        }
        (_, State::Draining) => ("draining", "finishes its work and leaves".to_owned()),
        (_, State::Examined | State::Serving) => {
            ("in its exam", "gets no work from rounds yet".to_owned())
        }
    };
    let member = evidence.member.as_ref();
    let speed = member.and_then(|member| member.tokens_per_second.zip(member.first_token_seconds));
    let gold_note = match evidence.times_caught {
        0 => "answers and verdicts; it never failed an audit".to_owned(),
        times => format!("answers and verdicts since its last failed audit ({times} in total)"),
    };
    html! {
        div.tiles {
            (tile("State", state, &work))
            (tile("On probation", yes_or_no(evidence.probation.on), &evidence.probation.why))
            (weight_tile("Weight as a writer", &evidence.writer))
            (weight_tile("Weight as a judge", &evidence.judge.track))
            @if let Some((tokens, first)) = speed {
                (tile("Speed", &format!("{tokens:.0}"), &format!(
                    "tokens per second in its exam, the first after {:.0} ms", first * 1e3
                )))
            }
            (tile("Gold seen", &evidence.gold_seen.to_string(), &gold_note))
        }
    }
}

fn tile(name: &str, value: &str, note: &str) -> Markup {
    html! { div.tile { span.soft { (name) } b { (value) } span.soft { (note) } } }
}

fn weight_tile(name: &str, track: &Track) -> Markup {
    tile(name, &format!("{:.3}", track.weight), &format!("mean accuracy {:.3}", track.mean))
}

fn yes_or_no(condition: bool) -> &'static str {
    if condition { "yes" } else { "no" }
}

/// A table with a name and a value in each row.
fn table<const N: usize>(rows: [(&str, String); N]) -> Markup {
    html! {
        div.wide {
            table {
                tbody {
                    @for (name, value) in rows { tr { th scope="row" { (name) } td { (value) } } }
                }
            }
        }
    }
}

fn track(track: &Track) -> Markup {
    table([
        ("Right and wrong", format!("a = {:.2}, b = {:.2}", track.a, track.b)),
        ("Mean accuracy", format!("{:.3}", track.mean)),
        ("Low estimate", format!("{:.3}, the {} quantile", track.low, track.quantile)),
        ("Weight", format!("{:.3}: {}", track.weight, track.how)),
    ])
}

fn writer(evidence: &Evidence) -> Markup {
    html! {
        section {
            h2 { "As a writer" }
            (track(&evidence.writer))
            (table([("Judges preferred its answer", rounds(&evidence.preference))]))
            @if evidence.kinds.is_empty() {
                p.soft { "It has answered no gold question of a known kind yet." }
            } @else {
                (kinds(&evidence.kinds))
            }
        }
    }
}

fn kinds(kinds: &[KindEvidence]) -> Markup {
    html! {
        div.wide {
            table {
                thead {
                    tr {
                        th { "Kind of gold question" }
                        th.number { "right" }
                        th.number { "wrong" }
                        th.number { "accuracy" }
                        th {}
                    }
                }
                tbody {
                    @for kind in kinds {
                        tr {
                            td { (kind.kind) }
                            td.number { (format!("{:.1}", kind.right)) }
                            td.number { (format!("{:.1}", kind.wrong)) }
                            td.number { (format!("{:.3}", kind.accuracy)) }
                            td { meter value=(format!("{:.3}", kind.accuracy)) {} }
                        }
                    }
                }
            }
        }
        p.soft {
            "Older answers count for less. The accuracy starts from one right and one wrong answer."
        }
    }
}

fn judge(evidence: &Evidence) -> Markup {
    let reasoned_verdicts = &evidence.reasoned_verdicts;
    html! {
        section {
            h2 { "As a judge" }
            (track(&evidence.judge.track))
            (table([
                (
                    "Discrimination",
                    discrimination(evidence.judge.discrimination, evidence.gold_pairs),
                ),
                ("Weight of its ballots", format!("{:.2}", evidence.judge.ballot_weight)),
                ("Contradicted itself", contradictions(&evidence.flips)),
                (
                    "Discrimination with reasons",
                    discrimination(reasoned_verdicts.discrimination, reasoned_verdicts.gold_pairs),
                ),
                ("Contradicted itself with reasons", contradictions(&reasoned_verdicts.flips)),
                ("Agreed with the other judges", rounds(&evidence.agreement)),
            ]))
        }
    }
}

fn discrimination(value: f64, pairs: usize) -> String {
    format!("{value:.3}, from {pairs} gold pairs and from how rarely it contradicts itself")
}

fn contradictions(flips: &Frequency) -> String {
    // Older pairs fade, so that less than half of a pair is no evidence any more.
    if flips.observations < 0.5 {
        return "it has compared no pair in both orders yet".to_owned();
    }
    format!(
        "rate {:.3} of {:.0} pairs compared in both orders (a = {:.2}, b = {:.2})",
        flips.rate, flips.observations, flips.a, flips.b
    )
}

fn rounds(frequency: &Frequency) -> String {
    format!("rate {:.3} of {:.0} rounds", frequency.rate, frequency.observations)
}

fn audits(audits: &AuditSummary) -> Markup {
    let claims = format!(
        "{} confirmed, {} are needed; the next is audited with probability {:.2}",
        audits.claims, audits.claims_needed, audits.claim_probability
    );
    let [questions, verdicts] = [&audits.writer, &audits.judge].map(|frequency| {
        format!(
            "{} so far; alarm {:.2} of {:.0}; one in its next round with probability {:.2}",
            frequency.count, frequency.alarm, frequency.alarm_at, frequency.probability
        )
    });
    html! {
        section {
            h2 { "Audits" }
            p.soft {
                "A node with the same weights recomputes its claims. At random, it also gets a \
                 question whose answer is known. A node that passes is audited less often."
            }
            (table([
                ("Claims", claims),
                ("Hidden questions", questions),
                ("Hidden verdicts", verdicts),
            ]))
        }
    }
}

fn calibration(evidence: &Evidence) -> Markup {
    let (certainty, scores) = (&evidence.certainty, &evidence.scores);
    let counts = yes_or_no(certainty.claims_count);
    html! {
        section {
            h2 { "Calibration of its likelihoods" }
            p.soft {
                "Fitted on gold: log-odds of being right = a + b x, with \
                 x = -ln(1 + |log-probability|) + α ln(bytes). α = 0 uses the sum over the answer, \
                 α = 1 the mean."
            }
            (table([
                (
                    "Its own certainty",
                    fit(&certainty.line, certainty.samples, certainty.right),
                ),
                ("Its certainty counts", format!("{counts}: {}", certainty.why)),
                (
                    "Scores of other nodes' answers",
                    fit(&scores.line, scores.samples, scores.right),
                ),
                ("Weight of its scores", format!("{:.3}: {}", scores.weight, scores.how)),
            ]))
        }
    }
}

fn fit(line: &Line, samples: usize, right: usize) -> String {
    format!(
        "a = {:.3}, b = {:.3}, α = {:.2}, from {samples} gold answers, {right} of them right",
        line.a, line.b, line.length
    )
}

fn history(evidence: &Evidence) -> Markup {
    html! {
        section {
            h2 { "What changed these numbers" }
            @if let Some(time) = &evidence.updated_at { p.soft { "Last change: " (time) } }
            @if evidence.history.is_empty() {
                p { "The node has no history yet." }
            } @else {
                div.wide {
                    table {
                        tbody {
                            @for event in &evidence.history {
                                tr { td.when { (event.at) } td { (event.text) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Tag;
    use shoal_consensus::reputation::Standing;
    use shoal_proto::NodeId;
    use shoal_swarm::{GoldCost, Presence, WorkRecord};

    #[test]
    fn text_cannot_become_markup() {
        let gold = GoldCost::default();
        let (id, work) = (NodeId([7; 32]), WorkRecord::default());
        let presence = Presence { id, state: State::Serving, seat: None, gold, work };
        let mut evidence = Evidence::new(presence, &Standing::empty(), 0);
        let text = "<script>'\"&</script>\u{202e}".to_owned();
        evidence.member = Some(Member {
            model: text.clone(),
            family: text.clone(),
            digest: text.clone(),
            context: 0,
            parameters: 0,
            description: text.clone(),
            tags: vec![Tag { tag: text.clone(), belief: 1.0 }],
            operator: text,
            slots: 1,
            running: 0,
            tokens_per_second: None,
            first_token_seconds: None,
        });
        let page = render(&evidence);
        let escaped_text = "&lt;script&gt;'&quot;&amp;&lt;/script&gt;\u{fffd}";
        assert_eq!(page.matches(escaped_text).count(), 6, "{page}");
        assert!(!page.contains("<script") && !page.contains('\u{202e}'), "{page}");
    }

    #[test]
    fn the_style_asks_for_nothing_from_elsewhere() {
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import") && !STYLE.contains('<'));
    }
}
