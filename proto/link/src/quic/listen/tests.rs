use super::*;

fn door(links: usize, links_per_address: usize) -> Arc<Door> {
    let limits = Limits { links, links_per_address, ..Limits::default() };
    Arc::new(Door { limits, inside: Mutex::default() })
}

fn at(address: &str) -> IpAddr {
    address.parse().unwrap()
}

#[test]
fn who_leaves_makes_room() {
    let door = door(1, 1);
    let guest = door.enter(at("10.0.0.1")).unwrap();
    assert_eq!(door.enter(at("10.0.0.2")).unwrap_err().label(), "full");
    drop(guest);
    assert!(door.enter(at("10.0.0.2")).is_ok());
    assert!(door.inside.lock().unwrap().by_address.is_empty(), "an address leaves no trace");
}

#[test]
fn one_address_cannot_take_all_places() {
    let door = door(10, 2);
    let _guests = [door.enter(at("10.0.0.1")).unwrap(), door.enter(at("10.0.0.1")).unwrap()];
    assert_eq!(door.enter(at("10.0.0.1")).unwrap_err().label(), "crowded");
    assert_eq!(door.enter(at("::ffff:10.0.0.1")).unwrap_err().label(), "crowded");
    assert!(door.enter(at("10.0.0.2")).is_ok());
}

#[test]
fn a_host_has_a_whole_block_of_ipv6() {
    let door = door(10, 1);
    let _guest = door.enter(at("2001:db8:1:2::1")).unwrap();
    assert_eq!(door.enter(at("2001:db8:1:2:ffff::7")).unwrap_err().label(), "crowded");
    assert!(door.enter(at("2001:db8:1:3::1")).is_ok());
}
