use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args().nth(1).as_deref() == Some("cage") {
        return xtask::cage::run();
    }
    let e = xtask::exercises::ALL
        .iter()
        .find(|e| e.name == std::env::args().nth(1).unwrap())
        .unwrap();
    let mode =
        std::env::args().nth(3).and_then(|m| xtask::cage::Mode::from_name(&m));
    let p = xtask::judge::Program {
        plain: std::env::args().nth(2).unwrap().into(),
        explored: None,
    };
    let j = xtask::judge::judge(e, &p, &xtask::judge::Options::new(mode).unwrap());
    println!("{:?} {:#?}", j.fell_back, j.verdict);
    ExitCode::SUCCESS
}
