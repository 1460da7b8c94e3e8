fn main() {
    let arg = |n| std::env::args().nth(n);
    let e = xtask::workbook::find_exercise(&arg(1).unwrap()).unwrap();
    let mut o = xtask::judge::Options::new(
        arg(3).and_then(|m| xtask::cage::Mode::from_name(&m)),
    )
    .unwrap();
    o.xtask = std::env::current_exe()
        .unwrap()
        .parent()
        .unwrap()
        .parent()
        .unwrap()
        .join("xtask");
    let p = xtask::judge::Program {
        plain: arg(2).unwrap().into(),
        explored: arg(4).map(Into::into),
    };
    let j = xtask::judge::judge(e, &p, &o);
    println!("{:?} {:#?}", j.fell_back, j.verdict);
}
