//! XTASK EXERCISE NAME PLAIN_DIR EXPLORED_DIR MODE TIMES
fn main() {
    let a: Vec<String> = std::env::args().skip(1).collect();
    let e = xtask::exercises::ALL.iter().find(|e| e.name == a[1]).unwrap();
    let mode = xtask::cage::Mode::from_name(&a[5]);
    let mut options = xtask::judge::Options::new(mode).unwrap();
    options.xtask = a[0].clone().into();
    let times: usize = a[6].parse().unwrap();
    let mut seen = std::collections::BTreeMap::new();
    let mut max = 0f64;
    for _ in 0..times {
        let program = xtask::judge::Program {
            plain: format!("{}/{}", a[3], a[2]).into(),
            explored: Some(format!("{}/{}", a[4], a[2]).into()),
        };
        let j = xtask::judge::judge(e, &program, &options);
        let v = j.verdict;
        max = max.max(v.seconds);
        let names: Vec<_> = v.findings.iter().map(|f| f.name.clone()).collect();
        if times == 1 {
            for f in &v.findings {
                println!("expected {}\nseen {}\nwhy {}", f.expected, f.seen, f.why);
            }
        }
        *seen.entry(format!("{} {}", v.status.name(), names.join(","))).or_insert(0) += 1;
    }
    println!("{:<32} {:10} {seen:?} max {max:.2} s", a[2], a[5]);
}
