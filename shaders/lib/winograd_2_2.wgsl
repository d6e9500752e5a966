// As winograd_2_3.wgsl, for two taps: 9 products in two dimensions in place of 16.
//
// Winograd's F(2×2, 2×2), one dimension at a time: two outputs of two taps by three products in place of four.
//
// Interpolation at 0, 1 and infinity. All of it is exact for small whole numbers.
//
// Constants: TILE, outputs of a tile along one axis, is 2; TAPS, those of a kernel, is 2; EDGE, a tile's inputs and its
// products, is 3.

alias Edge = array<vec4<f32>, EDGE>;
alias Taps = array<vec4<f32>, TAPS>;

fn of_input(x: Edge) -> Edge {
    return Edge(x[0] - x[1], x[1], x[2] - x[1]);
}

fn of_kernel(g: Taps) -> Edge {
    return Edge(g[0], g[0] + g[1], g[1]);
}

fn of_products(m: Edge) -> array<vec4<f32>, TILE> {
    return array<vec4<f32>, TILE>(m[0] + m[1], m[1] + m[2]);
}
