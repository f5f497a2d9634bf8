use super::*;

fn admission(links: usize, links_per_address: usize) -> Arc<Admission> {
    Arc::new(Admission::new(Limits { links, links_per_address, ..Limits::default() }))
}

fn ip(address: &str) -> IpAddr {
    address.parse().unwrap()
}

#[test]
fn who_leaves_makes_room() {
    let admission = admission(1, 1);
    let permit = admission.admit(ip("10.0.0.1")).unwrap();
    assert_eq!(admission.admit(ip("10.0.0.2")).unwrap_err().label(), "full");
    drop(permit);
    assert!(admission.admit(ip("10.0.0.2")).is_ok());
    assert!(admission.links.lock().unwrap().by_address.is_empty(), "an address leaves no trace");
}

#[test]
fn one_address_cannot_take_all_places() {
    let admission = admission(10, 2);
    let _permits =
        [admission.admit(ip("10.0.0.1")).unwrap(), admission.admit(ip("10.0.0.1")).unwrap()];
    assert_eq!(admission.admit(ip("10.0.0.1")).unwrap_err().label(), "crowded");
    assert_eq!(admission.admit(ip("::ffff:10.0.0.1")).unwrap_err().label(), "crowded");
    assert!(admission.admit(ip("10.0.0.2")).is_ok());
}

#[test]
fn a_host_has_a_whole_block_of_ipv6() {
    let admission = admission(10, 1);
    let _permit = admission.admit(ip("2001:db8:1:2::1")).unwrap();
    assert_eq!(admission.admit(ip("2001:db8:1:2:ffff::7")).unwrap_err().label(), "crowded");
    assert!(admission.admit(ip("2001:db8:1:3::1")).is_ok());
}
