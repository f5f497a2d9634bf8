use super::*;

#[test]
fn the_time_of_a_whole_exam_follows_from_its_first_questions() {
    assert_eq!(exam_time(Duration::from_secs(4), 8, 98), Duration::from_secs(53));
    assert_eq!(exam_time(Duration::from_secs(4), 0, 0), Duration::ZERO);
}
