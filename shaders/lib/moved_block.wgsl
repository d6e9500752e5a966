// As moved_vector.wgsl, where neighbours in the input lie apart in the output and the other way round: four vectors are read
// and four are written (a transposition in registers).
//
// A block of four by four elements: its rows are vectors of the input, block_from apart, its columns those of the output,
// block_to apart.

fn move_between(read: u32, write: u32) {
    let a = input[read];
    let b = input[read + params.block_from];
    let c = input[read + 2u * params.block_from];
    let d = input[read + 3u * params.block_from];
    output[write] = Vec(a.x, b.x, c.x, d.x);
    output[write + params.block_to] = Vec(a.y, b.y, c.y, d.y);
    output[write + 2u * params.block_to] = Vec(a.z, b.z, c.z, d.z);
    output[write + 3u * params.block_to] = Vec(a.w, b.w, c.w, d.w);
}
