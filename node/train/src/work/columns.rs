//! Column arithmetic, lowest digit first.

/// Decimal digits, lowest first, at least `width` of them.
fn digits(mut n: u32, width: usize) -> Vec<u32> {
    let mut digits = Vec::new();
    while n > 0 || digits.len() < width.max(1) {
        digits.push(n % 10);
        n /= 10;
    }
    digits
}

fn text(digits: &[u32]) -> String {
    digits.iter().map(u32::to_string).collect()
}

/// `4827 + 396`: `7284+6930: 7+6+0=3,1 2+9+1=2,1 8+3+1=2,1 4+0+1=5,0 3225.`
pub(super) fn add(a: u32, b: u32) -> String {
    let width = digits(a, 1).len().max(digits(b, 1).len());
    let (x, y) = (digits(a, width), digits(b, width));
    let mut line = format!("{}+{}:", text(&x), text(&y));
    let mut carry = 0;
    for (p, q) in x.iter().zip(&y) {
        let sum = p + q + carry;
        line += &format!(" {p}+{q}+{carry}={},{}", sum % 10, sum / 10);
        carry = sum / 10;
    }
    line + &format!(" {}.", text(&digits(a + b, width)))
}

/// `502 - 17`: `205-710: 2-7-0=5,1 0-1-1=8,1 5-0-1=4,0 584.`; after the comma stands the borrow.
pub(super) fn subtract(a: u32, b: u32) -> String {
    let width = digits(a, 1).len();
    let (x, y) = (digits(a, width), digits(b, width));
    let mut line = format!("{}-{}:", text(&x), text(&y));
    let mut borrow = 0;
    for (p, q) in x.iter().zip(&y) {
        let (digit, next) =
            if *p >= q + borrow { (p - q - borrow, 0) } else { (p + 10 - q - borrow, 1) };
        line += &format!(" {p}-{q}-{borrow}={digit},{next}");
        borrow = next;
    }
    line + &format!(" {}.", text(&digits(a.saturating_sub(b), width)))
}

/// One row of a product: `7284*6: 7*6+0=2,4 2*6+4=6,1 8*6+1=9,4 4*6+4=8,2 26982.`
fn row(a: u32, b: u32) -> String {
    let mut line = format!("{}*{b}:", text(&digits(a, 1)));
    let mut carry = 0;
    for p in digits(a, 1) {
        let product = p * b + carry;
        line += &format!(" {p}*{b}+{carry}={},{}", product % 10, product / 10);
        carry = product / 10;
    }
    line + &format!(" {}.", text(&digits(a * b, 1)))
}

/// A row for each digit of `b`; two rows are then added, the second moved by one place.
pub(super) fn multiply(a: u32, b: u32) -> String {
    if b < 10 {
        return row(a, b);
    }
    let (low, high) = (b % 10, b / 10);
    format!("{} {} {}", row(a, low), row(a, high), add(a * low, a * high * 10))
}

/// Long division, highest digit first: `4827 / 6`: `4/6=0,4 48/6=8,0 2/6=0,2 27/6=4,3 0804.`; after
/// the comma stands the remainder, which the next digit joins.
pub(super) fn divide(a: u32, b: u32) -> String {
    let (mut line, mut quotient, mut rest) = (String::new(), String::new(), 0);
    for digit in digits(a, 1).into_iter().rev() {
        let part = rest * 10 + digit;
        let (q, r) = (part / b.max(1), part % b.max(1));
        line += &format!("{part}/{b}={q},{r} ");
        quotient += &q.to_string();
        rest = r;
    }
    format!("{line}{quotient}.")
}
