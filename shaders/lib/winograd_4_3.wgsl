// The larger and faster of two tiles: 36 products in two dimensions in place of 144.
//
// Winograd's F(4×4, 3×3), one dimension at a time: four outputs of three taps by six products in place of twelve.
//
// Interpolation at 0, ±½, ±2 and infinity (the construction of Lavin and Gray 2016, arXiv:1509.09308, section 4.3, who
// take 0, ±1, ±2). The sums of magnitudes that bound the error grow by 7.3 along one axis, by 16 with their points.
//
// Constants: TILE, outputs of a tile along one axis, is 4; TAPS, those of a kernel, is 3; EDGE, a tile's
// inputs and its products, is 6.

alias Edge = array<vec4<f32>, EDGE>;
alias Taps = array<vec4<f32>, TAPS>;

fn of_input(x: Edge) -> Edge {
    let even_half = x[4] - 4.0 * x[2];
    let odd_half = 0.5 * x[3] - 2.0 * x[1];
    let even_two = x[4] - 0.25 * x[2];
    let odd_two = 2.0 * x[3] - 0.5 * x[1];
    return Edge(
        (x[0] + x[4]) - 4.25 * x[2],
        even_half + odd_half,
        even_half - odd_half,
        even_two + odd_two,
        even_two - odd_two,
        (x[1] + x[5]) - 4.25 * x[3],
    );
}

fn of_kernel(g: Taps) -> Edge {
    let even_half = (-8.0 / 15.0) * g[0] - (2.0 / 15.0) * g[2];
    let odd_half = (-4.0 / 15.0) * g[1];
    let even_two = (1.0 / 30.0) * g[0] + (2.0 / 15.0) * g[2];
    let odd_two = (1.0 / 15.0) * g[1];
    return Edge(
        g[0],
        even_half + odd_half,
        even_half - odd_half,
        even_two + odd_two,
        even_two - odd_two,
        g[2],
    );
}

fn of_products(m: Edge) -> array<vec4<f32>, TILE> {
    let even_half = m[1] + m[2];
    let odd_half = m[1] - m[2];
    let even_two = m[3] + m[4];
    let odd_two = m[3] - m[4];
    return array<vec4<f32>, TILE>(
        m[0] + even_half + even_two,
        0.5 * odd_half + 2.0 * odd_two,
        0.25 * even_half + 4.0 * even_two,
        (0.125 * odd_half + 8.0 * odd_two) + m[5],
    );
}
