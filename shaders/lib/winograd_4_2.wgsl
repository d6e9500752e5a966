// As winograd_4_3.wgsl, for two taps: 25 products in two dimensions in place of 64.
//
// Winograd's F(4×4, 2×2), one dimension at a time: four outputs of two taps by five products in place of eight.
//
// Interpolation at 0, −½, 1, −2 and infinity (the construction of Lavin and Gray 2016, arXiv:1509.09308, section 4.3). Of the
// points among 0, ±½, ±1 and ±2 these make the least error, less than half of that by 0, ±1 and 2.
//
// Constants: TILE, outputs of a tile along one axis, is 4; TAPS, those of a kernel, is 2; EDGE, a tile's inputs and its
// products, is 5.

alias Edge = array<vec4<f32>, EDGE>;
alias Taps = array<vec4<f32>, TAPS>;

fn of_input(x: Edge) -> Edge {
    return Edge(
        (x[0] - x[3]) + 1.5 * (x[1] - x[2]),
        (x[2] + x[3]) - 2.0 * x[1],
        (x[1] + x[3]) + 2.5 * x[2],
        0.5 * (x[1] + x[2]) - x[3],
        (x[4] - x[1]) + 1.5 * (x[3] - x[2]),
    );
}

fn of_kernel(g: Taps) -> Edge {
    return Edge(
        g[0],
        (8.0 / 9.0) * g[0] - (4.0 / 9.0) * g[1],
        (2.0 / 9.0) * (g[0] + g[1]),
        (1.0 / 9.0) * g[0] - (2.0 / 9.0) * g[1],
        g[1],
    );
}

fn of_products(m: Edge) -> array<vec4<f32>, TILE> {
    return array<vec4<f32>, TILE>(
        m[0] + m[1] + m[2] + m[3],
        (m[2] - 0.5 * m[1]) - 2.0 * m[3],
        (m[2] + 0.25 * m[1]) + 4.0 * m[3],
        (m[2] - 0.125 * m[1]) - 8.0 * m[3] + m[4],
    );
}
