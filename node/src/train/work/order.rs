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

/// Insertion: each next number against the sorted list from its front, which is then rewritten.
pub(super) fn insertion(numbers: &[u32], descending: bool) -> String {
    let mut sorted: Vec<u32> = Vec::new();
    let mut line = String::new();
    for next in numbers {
        let mut place = 0;
        for held in &sorted {
            line += &format!("{} ", compare(*next, *held));
            if (next > held) == descending {
                break;
            }
            place += 1;
        }
        sorted.insert(place, *next);
        let list: Vec<String> = sorted.iter().map(u32::to_string).collect();
        line += &format!("[{}] ", list.join(" "));
    }
    line.trim_end().to_owned()
}
