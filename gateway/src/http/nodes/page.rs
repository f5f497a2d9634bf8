//! The same evidence as a page: no script, nothing from elsewhere, every text escaped.

use super::evidence::{Evidence, Flips, Kind, Member, Tag, Track};
use shoal_swarm::State;

const STYLE: &str = include_str!("page.css");

/// HTML in the making. Markup is what stands in this file; everything else is escaped.
#[derive(Default)]
struct Html(String);

impl Html {
    fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    fn text(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // A member's text shall not turn the direction of the gateway's.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        self
    }

    /// A row of a table with two columns.
    fn row(&mut self, name: &'static str, value: &str) -> &mut Self {
        self.markup("<tr><th scope=\"row\">").markup(name).markup("</th><td>").text(value);
        self.markup("</td></tr>\n")
    }

    fn section(&mut self, title: &'static str) -> &mut Self {
        self.markup("<section><h2>").markup(title).markup("</h2>\n")
    }

    fn tile(&mut self, name: &'static str, value: &str, note: &str) -> &mut Self {
        self.markup("<div class=\"tile\"><span class=\"soft\">").markup(name).markup("</span><b>");
        self.text(value).markup("</b><span class=\"soft\">").text(note).markup("</span></div>\n")
    }
}

/// The whole page.
pub(super) fn render(evidence: &Evidence) -> String {
    let mut html = Html::default();
    html.markup("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n")
        .markup("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>")
        .text(&evidence.short_id)
        .markup(" in the swarm</title>\n<style>\n")
        .markup(STYLE)
        .markup("</style></head>\n<body><main>\n");
    head(&mut html, evidence);
    tiles(&mut html, evidence);
    writer(&mut html, evidence);
    judge(&mut html, evidence);
    calibration(&mut html, evidence);
    audits(&mut html, evidence);
    history(&mut html, evidence);
    html.markup("<p class=\"soft\">As of ").text(&evidence.as_of);
    html.markup(". <a href=\"?format=json\">The same as JSON</a></p>\n</main></body></html>\n");
    html.0
}

fn head(html: &mut Html, evidence: &Evidence) {
    html.markup("<h1>");
    match &evidence.member {
        Some(member) => html.text(&member.model),
        None => html.markup("A newcomer"),
    };
    html.markup("</h1>\n<p class=\"id soft\">").text(&evidence.id).markup("</p>\n");
    if let Some(member) = &evidence.member {
        about(html, member);
    }
}

fn about(html: &mut Html, member: &Member) {
    if !member.description.is_empty() {
        html.markup("<p>").text(&member.description).markup("</p>\n");
    }
    let said = |tag: &Tag| format!("{} (believed {:.2})", tag.tag, tag.believed);
    let tags: Vec<String> = member.tags.iter().map(said).collect();
    if !tags.is_empty() {
        html.markup("<p>Says it is good at ").text(&tags.join(", ")).markup("</p>\n");
    }
    html.markup("<p class=\"soft\">").text(&member.family);
    if member.parameters > 0 {
        html.text(&format!(", {:.2} million parameters", member.parameters as f64 / 1e6));
    }
    html.text(&format!(", {} tokens of context", member.context));
    if !member.operator.is_empty() {
        html.markup(", run by ").text(&member.operator);
    }
    if !member.digest.is_empty() {
        html.markup("<br>weights <code>").text(&member.digest).markup("</code>");
    }
    html.markup("</p>\n");
}

fn tiles(html: &mut Html, evidence: &Evidence) {
    html.markup("<div class=\"tiles\">\n");
    let (state, work) = match (&evidence.member, evidence.state) {
        (Some(member), State::Serving) => {
            ("serving", format!("{} of {} slots busy", member.running, member.slots))
        }
        (_, State::Draining) => ("draining", "finishes what it has and leaves".to_owned()),
        (_, State::Examined | State::Serving) => {
            ("in its exam", "not asked by rounds yet".to_owned())
        }
    };
    html.tile("State", state, &work);
    let on = if evidence.probation.on { "yes" } else { "no" };
    html.tile("On probation", on, &evidence.probation.why);
    let accuracy = |track: &Track| format!("mean accuracy {:.3}", track.mean);
    html.tile("Weight as a writer", &weight(&evidence.writer), &accuracy(&evidence.writer));
    html.tile(
        "Weight as a judge",
        &weight(&evidence.judge.track),
        &accuracy(&evidence.judge.track),
    );
    if let Some(Member { tokens_per_second: Some(speed), first_token_seconds, .. }) =
        &evidence.member
    {
        let first = first_token_seconds.map_or(0.0, |seconds| seconds * 1e3);
        let note = format!("tokens a second in its exam, the first after {first:.0} ms");
        html.tile("Speed", &format!("{speed:.0}"), &note);
    }
    let caught = match evidence.caught {
        0 => "answers and verdicts; never caught".to_owned(),
        times => format!("answers and verdicts since it was caught, which it was {times} times"),
    };
    html.tile("Gold seen", &evidence.gold_seen.to_string(), &caught);
    html.markup("</div>\n");
}

fn weight(track: &Track) -> String {
    format!("{:.3}", track.weight)
}

fn writer(html: &mut Html, evidence: &Evidence) {
    html.section("As a writer");
    track(html, &evidence.writer);
    let preferred = &evidence.preferred;
    let told = format!("rate {:.3} of {:.0} rounds", preferred.rate, preferred.seen);
    html.markup("<div class=\"wide\"><table><tbody>\n");
    html.row("Preferred to others by judges", &told);
    html.markup("</tbody></table></div>\n");
    if evidence.kinds.is_empty() {
        html.markup("<p class=\"soft\">No gold of a known kind was seen yet.</p></section>\n");
        return;
    }
    html.markup("<div class=\"wide\"><table><thead><tr><th>Kind of gold question</th>")
        .markup("<th class=\"number\">right</th><th class=\"number\">wrong</th>")
        .markup("<th class=\"number\">accuracy</th><th></th></tr></thead><tbody>\n");
    evidence.kinds.iter().for_each(|one| kind(html, one));
    html.markup(
        "</tbody></table></div>\n<p class=\"soft\">Older answers have faded; the accuracy ",
    )
    .markup("counts one right and one wrong beforehand.</p></section>\n");
}

fn kind(html: &mut Html, kind: &Kind) {
    html.markup("<tr><td>").text(&kind.kind).markup("</td><td class=\"number\">");
    html.text(&format!("{:.1}", kind.right)).markup("</td><td class=\"number\">");
    html.text(&format!("{:.1}", kind.wrong)).markup("</td><td class=\"number\">");
    html.text(&format!("{:.3}", kind.accuracy)).markup("</td><td><meter value=\"");
    html.text(&format!("{:.3}", kind.accuracy)).markup("\"></meter></td></tr>\n");
}

fn contradicted(flips: &Flips) -> String {
    // Faded counts of a pair or two are still something seen; less than half a pair is not.
    match flips.seen {
        seen if seen < 0.5 => "no pair compared in both orders yet".to_owned(),
        seen => format!(
            "rate {:.3} of {seen:.0} pairs compared in both orders (a = {:.2}, b = {:.2})",
            flips.rate, flips.a, flips.b
        ),
    }
}

fn judge(html: &mut Html, evidence: &Evidence) {
    html.section("As a judge");
    track(html, &evidence.judge.track);
    html.markup("<div class=\"wide\"><table><tbody>\n");
    let from = |pairs| format!("from {pairs} gold pairs and how seldom it contradicts itself");
    let said = |value, pairs| format!("{value:.3}, {}", from(pairs));
    html.row("Discrimination", &said(evidence.judge.discrimination, evidence.gold_pairs));
    html.row("Contradicted itself", &contradicted(&evidence.flips));
    let reasoned = &evidence.reasoned;
    html.row("Discrimination with reasons", &said(reasoned.discrimination, reasoned.gold_pairs));
    html.row("Contradicted itself with reasons", &contradicted(&reasoned.flips));
    let agreed = &evidence.agreed;
    let others = format!("rate {:.3} of {:.0} rounds", agreed.rate, agreed.seen);
    html.row("Agreed with the others", &others);
    html.markup("</tbody></table></div></section>\n");
}

fn audits(html: &mut Html, evidence: &Evidence) {
    let audits = &evidence.audits;
    html.section("Audits");
    html.markup(
        "<p class=\"soft\">Its claims are recomputed by the same weights, and now and then it ",
    )
    .markup("gets a question whose answer is known. Who passes is asked less often.</p>\n")
    .markup("<div class=\"wide\"><table><tbody>\n");
    let claims = format!(
        "{} held, {} are needed; the next is looked at with probability {:.2}",
        audits.claims, audits.claims_needed, audits.claim_probability
    );
    html.row("Claims", &claims);
    for (name, one) in [("Hidden questions", &audits.writer), ("Hidden verdicts", &audits.judge)] {
        let told = format!(
            "{} so far; alarm {:.2} of {:.0}; one in its next round with probability {:.2}",
            one.seen, one.alarm, one.alarm_at, one.probability
        );
        html.row(name, &told);
    }
    html.markup("</tbody></table></div></section>\n");
}

fn track(html: &mut Html, track: &Track) {
    html.markup("<div class=\"wide\"><table><tbody>\n");
    html.row("Right and wrong", &format!("a = {:.2}, b = {:.2}", track.a, track.b));
    html.row("Mean accuracy", &format!("{:.3}", track.mean));
    html.row("Believed (low)", &format!("{:.3}, the {} quantile", track.low, track.quantile));
    html.row("Weight", &format!("{:.3}: {}", track.weight, track.how));
    html.markup("</tbody></table></div>\n");
}

fn calibration(html: &mut Html, evidence: &Evidence) {
    let (certainty, scores) = (&evidence.certainty, &evidence.scores);
    html.section("What its likelihoods are worth");
    html.markup("<p class=\"soft\">Fitted on gold: log-odds of being right = a + b x, with ")
        .markup(
            "x = -ln(1 + |log-probability|) + α ln(bytes): at α = 0 the sum counts, at 1 the mean.",
        )
        .markup("</p>\n<div class=\"wide\"><table><tbody>\n");
    html.row(
        "Its own certainty",
        &format!(
            "a = {:.3}, b = {:.3}, α = {:.2}, from {} gold answers, {} of them right",
            certainty.line.a,
            certainty.line.b,
            certainty.line.length,
            certainty.samples,
            certainty.right
        ),
    );
    let counts = if certainty.claims_count { "yes: " } else { "no: " };
    html.row("Does it count", &format!("{counts}{}", certainty.why));
    html.row(
        "Scores of others' answers",
        &format!(
            "a = {:.3}, b = {:.3}, α = {:.2}, from {} gold answers, {} of them right",
            scores.line.a, scores.line.b, scores.line.length, scores.samples, scores.right
        ),
    );
    html.row("Weight of its scores", &format!("{:.3}: {}", scores.weight, scores.how));
    html.markup("</tbody></table></div></section>\n");
}

fn history(html: &mut Html, evidence: &Evidence) {
    html.section("What moved these numbers");
    if let Some(updated) = &evidence.updated {
        html.markup("<p class=\"soft\">Last change: ").text(updated).markup("</p>\n");
    }
    if evidence.history.is_empty() {
        html.markup("<p>Nothing was seen of it yet.</p></section>\n");
        return;
    }
    html.markup("<div class=\"wide\"><table><tbody>\n");
    for event in &evidence.history {
        html.markup("<tr><td class=\"when\">").text(&event.at).markup("</td><td>");
        html.text(&event.text).markup("</td></tr>\n");
    }
    html.markup("</tbody></table></div></section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        let mut html = Html::default();
        html.text("<script>'\"&</script>\u{202e}");
        assert_eq!(html.0, "&lt;script&gt;&#39;&quot;&amp;&lt;/script&gt;\u{fffd}");
    }

    #[test]
    fn the_style_asks_for_nothing_from_elsewhere() {
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import") && !STYLE.contains('<'));
    }
}
