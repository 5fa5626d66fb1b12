//! The name that somebody probably meant, for every message about an unknown option, command, key or resource.

/// The known name nearest to `wanted`, or `None` if nothing is plausibly near. Casing does not count; a letter too
/// many, missing, wrong or swapped with its neighbour counts one. About a third of the letters may differ. Of names
/// equally near the first wins.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = wanted.to_lowercase().chars().collect();
    known
        .into_iter()
        .filter_map(|name| {
            let letters: Vec<char> = name.to_lowercase().chars().collect();
            let length = wanted.len().max(letters.len());
            let allowed = (length / 3).max(1);
            if wanted.len().abs_diff(letters.len()) > allowed {
                return None;
            }
            let distance = distance(&wanted, &letters);
            (distance <= allowed && distance < length).then_some((distance, name))
        })
        .min_by_key(|&(distance, _)| distance)
        .map(|(_, name)| name)
}

/// The restricted Damerau-Levenshtein distance ("optimal string alignment"), three rows at a time.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut two_above = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(two_above[j - 2] + 1);
            }
        }
        two_above = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(a: &str, b: &str) -> usize {
        distance(&a.chars().collect::<Vec<_>>(), &b.chars().collect::<Vec<_>>())
    }

    #[test]
    fn each_letter_and_each_swap_counts_one() {
        for (a, b, expected) in [
            ("send", "send", 0),
            ("sned", "send", 1),
            ("sen", "send", 1),
            ("seend", "send", 1),
            ("sand", "send", 1),
            ("", "send", 4),
            ("send", "", 4),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(apart(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn the_nearest_name_is_found_whatever_the_casing() {
        let known = ["schools", "students", "studentParentAssociations"];
        assert_eq!(nearest("Student", known), Some("students"));
        assert_eq!(nearest("STUDNETS", known), Some("students"));
        assert_eq!(nearest("studentParentAsociation", known), Some("studentParentAssociations"));
    }

    #[test]
    fn of_two_names_equally_near_the_first_is_taken() {
        assert_eq!(nearest("bat", ["cat", "hat"]), Some("cat"));
    }

    #[test]
    fn a_name_like_no_other_has_no_nearest() {
        let known = ["schools", "students"];
        for wanted in ["grades", "s", "", "courseOfferings"] {
            assert_eq!(nearest(wanted, known), None, "{wanted}");
        }
        assert_eq!(nearest("x", ["y"]), None);
    }
}
