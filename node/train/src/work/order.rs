//! Comparing: lengths first, then digit by digit until one differs.

use std::cmp::Ordering;

/// `417?452 3=3 4=4 1<5`.
fn compare(a: u32, b: u32) -> String {
    let (x, y) = (a.to_string(), b.to_string());
    let mut line = format!("{x}?{y} {}", sign(x.len() as u32, y.len() as u32));
    if x.len() == y.len() {
        for (p, q) in x.bytes().zip(y.bytes()) {
            line += &format!(" {}", sign(u32::from(p - b'0'), u32::from(q - b'0')));
            if p != q {
                break;
            }
        }
    }
    line
}

fn sign(a: u32, b: u32) -> String {
    let sign = match a.cmp(&b) {
        Ordering::Less => '<',
        Ordering::Equal => '=',
        Ordering::Greater => '>',
    };
    format!("{a}{sign}{b}")
}

/// The best so far against each next number.
pub(super) fn best(numbers: &[u32], largest: bool) -> String {
    let mut rest = numbers.iter().copied();
    let mut best = rest.next().unwrap_or_default();
    let mut steps = Vec::new();
    for next in rest {
        steps.push(compare(best, next));
        best = if (next > best) == largest { next } else { best };
    }
    format!("{}. {best}.", steps.join("; "))
}

/// Insertion: the sorted list and what is still to come; then the next number against the list from
/// its front: `[417] 52 390. 52?417 2<3 [52 417] 390. 390?52 3>2 390?417 3=3 3<4 [52 390 417]`.
pub(super) fn insertion(numbers: &[u32], reverse: bool) -> String {
    let mut prefix: Vec<u32> = Vec::new();
    let mut rest = numbers;
    let mut line = String::new();
    while let [next, later @ ..] = rest {
        let mut place = 0;
        for number in &prefix {
            line += &format!("{} ", compare(*next, *number));
            if (next > number) == reverse {
                break;
            }
            place += 1;
        }
        prefix.insert(place, *next);
        rest = later;
        line += &format!("[{}]", list(&prefix));
        if !rest.is_empty() {
            line += &format!(" {}. ", list(rest));
        }
    }
    line
}

fn list(numbers: &[u32]) -> String {
    let texts: Vec<String> = numbers.iter().map(u32::to_string).collect();
    texts.join(" ")
}
