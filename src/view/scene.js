// The model in three dimensions, by WebGL: its layers in a row along x, each a stack of maps that opens into all of them. The
// planes of maps stand across the row: their rows go down, their columns along z. What is chosen, lit and open is the page's.

/** The side of the largest map. */
const SIDE = 10;
/** The most that the maps of an open layer cover. */
const REACH = 3.2 * SIDE;
/** How much is seen at a distance of 1, to either side, of the smaller of width and height. */
const LENS = Math.tan(9 * Math.PI / 180);
/** As near, and as far, as anything is drawn. */
const [NEAR, FAR] = [.5, 20000];
const PINK = [1, .31, .64];

const dot3 = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const plus = (a, b, times = 1) => a.map((value, axis) => value + times * b[axis]);
const between = (from, to, way) => from + (to - from) * way;
/** A colour as in #1a2b3c, each part from 0 to 1. */
const parts = (color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16) / 255);

// Where a point falls: its place from the eye along the camera's axes, and how deep it lies.
const FALL = `#version 300 es
precision highp float;
uniform mat3 axes;
uniform vec3 eye;
uniform vec4 lens;
vec4 fall(vec3 point) {
    vec3 seen = (point - eye) * axes;
    return vec4(seen.xy * lens.xy, seen.z * lens.z + lens.w, seen.z);
}`;
// Each instance is a slab: a map, or a closed layer. Its two large faces show a piece of the sheet.
const SLAB = [`${FALL}
uniform vec3 middle, size;
uniform vec2 extent;
in vec3 corner, normal;
in vec3 place;
in vec3 piece;
out vec2 at, texel;
flat out vec2 kind;
void main() {
    at = corner.zy * vec2(.5, -.5) + .5;
    texel = piece.xy + at * extent;
    kind = vec2(abs(normal.x), piece.z);
    gl_Position = fall(middle + place + corner * size * .5);
    at = normal.x == 0. ? vec2(.5) : at;
}`, `#version 300 es
precision highp float;
uniform sampler2D sheet;
uniform vec3 color, accent, pink;
in vec2 at, texel;
flat in vec2 kind;
out vec4 made;
void main() {
    vec3 face = kind.x > .5 ? texture(sheet, texel).rgb : color * .55;
    vec2 edge = min(at, 1. - at) / max(fwidth(at), 1e-6);
    float near = kind.x > .5 ? min(edge.x, edge.y) : 9.;
    if (kind.y > .5 && (near < 3. || kind.x < .5)) face = kind.y > 1.5 ? pink : accent;
    else if (near < 1.) face = mix(face, color, .6);
    made = vec4(face, 1.);
}`];
// Each instance is a line from one point to another, some pixels wide.
const LINE = [`${FALL}
uniform vec2 window;
in vec2 side;
in vec3 from, to;
in vec4 color;
out vec4 tint;
void main() {
    vec3 ahead = axes[2];
    vec2 deep = vec2(dot(from - eye, ahead), dot(to - eye, ahead));
    vec3 begin = deep.x < ${NEAR} ? mix(from, to, clamp((${NEAR} - deep.x) / (deep.y - deep.x), 0., 1.)) : from;
    vec3 end = deep.y < ${NEAR} ? mix(to, from, clamp((${NEAR} - deep.y) / (deep.x - deep.y), 0., 1.)) : to;
    vec4 a = fall(begin), b = fall(end);
    vec2 along = (b.xy / b.w - a.xy / a.w) * window;
    along = length(along) > 0. ? normalize(along) : vec2(1, 0);
    gl_Position = side.x > 0. ? b : a;
    gl_Position.xy += vec2(-along.y, along.x) * side.y * color.a / window * gl_Position.w;
    tint = color;
}`, `#version 300 es
precision highp float;
in vec4 tint;
out vec4 made;
void main() { made = vec4(tint.rgb, 1.); }`];

/** A cube from −1 to 1, as triangles: of each corner where it is, and which way its face looks. */
function cube() {
    const corners = [];
    for (let axis = 0; axis < 3; axis++) {
        for (const side of [-1, 1]) {
            for (const [a, b] of [[-1, -1], [1, -1], [1, 1], [-1, -1], [1, 1], [-1, 1]]) {
                const [corner, normal] = [[0, 0, 0], [0, 0, 0]];
                corner[axis] = normal[axis] = side;
                [corner[(axis + 1) % 3], corner[(axis + 2) % 3]] = [a, b];
                corners.push(...corner, ...normal);
            }
        }
    }
    return corners;
}

/** A program with what it draws: `points` for one instance, and so many numbers for each of them and for each instance. */
class Drawn {
    constructor(gl, sources, points, each, instance) {
        this.gl = gl;
        this.program = gl.createProgram();
        sources.forEach((source, i) => {
            const shader = gl.createShader(i === 0 ? gl.VERTEX_SHADER : gl.FRAGMENT_SHADER);
            gl.shaderSource(shader, source);
            gl.compileShader(shader);
            gl.attachShader(this.program, shader);
        });
        gl.linkProgram(this.program);
        if (!gl.getProgramParameter(this.program, gl.LINK_STATUS) && !gl.isContextLost()) {
            throw new Error(gl.getProgramInfoLog(this.program) || gl.getShaderInfoLog(gl.getAttachedShaders(this.program)[0]));
        }
        this.array = gl.createVertexArray();
        gl.bindVertexArray(this.array);
        const attributes = (list, divisor) => {
            const buffer = gl.createBuffer();
            gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
            const stride = Object.values(list).reduce((sum, count) => sum + count, 0);
            let start = 0;
            for (const [name, count] of Object.entries(list)) {
                const at = gl.getAttribLocation(this.program, name);
                gl.enableVertexAttribArray(at);
                gl.vertexAttribPointer(at, count, gl.FLOAT, false, stride * 4, start * 4);
                gl.vertexAttribDivisor(at, divisor);
                start += count;
            }
            return [buffer, stride];
        };
        const [, stride] = attributes(each, 0);
        gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(points), gl.STATIC_DRAW);
        this.points = points.length / stride;
        [this.buffer, this.stride] = attributes(instance, 1);
    }

    use(uniforms) {
        const { gl, program } = this;
        gl.useProgram(program);
        gl.bindVertexArray(this.array);
        for (const [name, value] of Object.entries(uniforms)) {
            const at = gl.getUniformLocation(program, name);
            if (value.length === 9) {
                gl.uniformMatrix3fv(at, false, value);
            } else {
                gl[`uniform${value.length}fv`](at, value);
            }
        }
    }

    draw(instances) {
        const { gl } = this;
        gl.bindBuffer(gl.ARRAY_BUFFER, this.buffer);
        gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(instances), gl.STREAM_DRAW);
        gl.drawArraysInstanced(gl.TRIANGLES, 0, this.points, instances.length / this.stride);
    }
}

class Scene {
    constructor() {
        this.section = document.getElementById("scene");
        this.canvas = this.section.querySelector("canvas");
        this.names = document.getElementById("scene-names");
        this.strip = document.getElementById("scene-strip");
        this.button = document.getElementById("solid");
        this.shown = false;
        /** From where it is looked at: a point, two angles, and how far off. */
        this.view = { target: [0, 0, 0], yaw: 0, pitch: 0, distance: 60 };
        this.visible = new Set();
        /** What was chosen by a click or by keys, which stays while the pointer is elsewhere. */
        this.kept = null;
        /** Where the pointers are that are down. */
        this.held = new Map();
        this.button.addEventListener("click", () => this.show(!this.shown));
        this.listen();
        new ResizeObserver(() => this.change()).observe(this.canvas);
        matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.change());
        this.build();
    }

    /** Takes in the layers of the page. */
    build() {
        this.kept = null;
        this.forget();
        const largest = Math.max(1, ...layers.map(({ width, high, units }) => units ? 1 : Math.max(width, high)));
        this.solids = [];
        for (const layer of layers) {
            const [width, high] = [Math.max(1, layer.width), Math.max(1, layer.high)];
            const long = Math.max(width, high);
            const side = SIDE * Math.min(1, Math.max(.3, (long / largest) ** .4));
            const solid = {
                layer,
                level: Math.max(-1, ...layer.inputs.map((place) => this.solids[place].level)) + 1,
                // Of one map, z and y; a thin one can still be seen.
                flat: [width, high].map((extent) => Math.max(side * extent / long, side / 14)),
                thick: layer.maps > 1 ? Math.min(4, .6 + .4 * Math.log2(layer.maps)) : .3,
                label: document.createElement("button"),
            };
            const grid = [layer.columns, layer.rows].map((count, i) => solid.flat[i] * (1.5 * Math.max(1, count) - .5));
            solid.scale = Math.min(1, REACH / Math.max(...grid));
            solid.grid = grid.map((extent) => extent * solid.scale);
            solid.label.type = "button";
            solid.label.tabIndex = -1;
            solid.label.addEventListener("click", () => this.turn(layer));
            this.solids.push(solid);
        }
        this.names.replaceChildren(...this.solids.map(({ label }) => label));
        this.levels = [];
        for (const solid of this.solids) {
            (this.levels[solid.level] ??= []).push(solid);
        }
        this.overview(false);
    }

    /** Shows the scene instead of the list, or the list again; says so where there is no WebGL. */
    show(shown) {
        if (shown && !this.gl && !this.start()) {
            return;
        }
        this.shown = shown;
        this.section.hidden = !shown;
        document.body.classList.toggle("solid", shown);
        this.button.setAttribute("aria-pressed", String(shown));
        unpoint();
        if (shown) {
            this.overview(false);
        }
    }

    /** Whether there is WebGL, which is then ready. */
    start() {
        const gl = this.canvas.getContext("webgl2", { antialias: true });
        const problem = document.getElementById("scene-problem");
        if (!gl) {
            problem.hidden = false;
            problem.textContent = "The view in three dimensions needs WebGL 2, which this browser does not give. The layers are listed below.";
            return false;
        }
        this.gl = gl;
        this.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
        this.canvas.addEventListener("webglcontextrestored", () => {
            this.prepare();
            this.change();
        });
        this.prepare();
        return true;
    }

    prepare() {
        const { gl } = this;
        this.solids.forEach((solid) => { solid.closed = solid.opened = null; });
        this.slabs = new Drawn(gl, SLAB, cube(), { corner: 3, normal: 3 }, { place: 3, piece: 3 });
        this.lines = new Drawn(gl, LINE, [0, -1, 1, -1, 1, 1, 0, -1, 1, 1, 0, 1], { side: 2 }, { from: 3, to: 3, color: 4 });
    }

    /** Gives textures back. */
    forget() {
        for (const solid of this.solids ?? []) {
            [solid.closed, solid.opened].forEach((texture) => texture && this.gl.deleteTexture(texture.made));
        }
    }

    /** Whether a layer can be seen here. */
    sees(layer) {
        return this.shown && this.visible.has(layer);
    }

    /** Has it drawn anew with the next frame. */
    change() {
        if (this.shown && !this.asked) {
            this.asked = true;
            requestAnimationFrame(() => {
                this.asked = false;
                this.draw();
            });
        }
    }

    /** Lays the layers out, each as open as `way` says, or as they are. */
    arrange(way = (layer) => layer.eased()) {
        let x = 0;
        this.levels.forEach((level, number) => {
            let deep = 0;
            for (const solid of level) {
                solid.way = solid.layer.single ? 0 : way(solid.layer);
                solid.scaled = between(1, solid.scale, solid.way);
                const extents = solid.flat.map((extent, i) => between(extent, solid.grid[i], solid.way));
                solid.size = [between(solid.thick, .3, solid.way), extents[1], extents[0]];
                deep = Math.max(deep, solid.size[0] + .5 * between(solid.flat[0], .75 * solid.grid[0], solid.way) + 1.5);
            }
            x += number === 0 ? 0 : deep / 2;
            const width = level.reduce((sum, solid) => sum + solid.size[2] + 4, -4);
            let z = -width / 2;
            for (const solid of level) {
                solid.middle = [x, 0, z + solid.size[2] / 2];
                z += solid.size[2] + 4;
            }
            x += deep / 2;
        });
    }

    /** The camera's axes, to the right, up and ahead, and where it stands. */
    camera() {
        const { target, yaw, pitch, distance } = this.view;
        const [sine, cosine] = [Math.sin(yaw), Math.cos(yaw)];
        const right = [sine, 0, cosine];
        const ahead = [cosine * Math.cos(pitch), -Math.sin(pitch), -sine * Math.cos(pitch)];
        const up = [cosine * Math.sin(pitch), Math.cos(pitch), -sine * Math.sin(pitch)];
        const [width, height] = [this.canvas.clientWidth || 1, this.canvas.clientHeight || 1];
        const lens = [width, height].map((extent) => Math.min(width, height) / extent / LENS);
        return { right, up, ahead, eye: plus(target, ahead, -distance), lens, width, height };
    }

    /** Where a point falls on the canvas, in pixels, and how far off it is; `NaN` behind the eye. */
    project(point, { right, up, ahead, eye, lens, width, height }) {
        const seen = plus(point, eye, -1);
        const deep = dot3(seen, ahead);
        const [x, y] = [dot3(seen, right) * lens[0] / deep, dot3(seen, up) * lens[1] / deep];
        return deep > NEAR ? [(x + 1) / 2 * width, (1 - y) / 2 * height, deep] : [NaN, NaN, deep];
    }

    /** The corners of the box of a layer. */
    corners({ middle, size }) {
        return [-1, 1].flatMap((x) => [-1, 1].flatMap((y) => [-1, 1].map((z) =>
            [middle[0] + x * size[0] / 2, middle[1] + y * size[1] / 2, middle[2] + z * size[2] / 2])));
    }

    /** Looks at these, as near as they fit. */
    fit(solids, moved = true, margin = 1.12) {
        if (solids.length === 0) {
            return;
        }
        const corners = solids.flatMap((solid) => this.corners(solid));
        const target = [0, 1, 2].map((axis) => {
            const all = corners.map((corner) => corner[axis]);
            return (Math.min(...all) + Math.max(...all)) / 2;
        });
        const { right, up, ahead, lens } = this.camera();
        const distance = Math.max(12, ...corners.map((corner) => {
            const from = plus(corner, target, -1);
            return Math.max(Math.abs(dot3(from, right)) * lens[0], Math.abs(dot3(from, up)) * lens[1]) * margin - dot3(from, ahead);
        }));
        this.fly({ target, distance }, moved);
    }

    /**
     * Looks at all layers from the side where they begin, along the longer side of the window; of a deep network at its beginning,
     * the rest of which the strip shows.
     */
    overview(moved = true, all = false) {
        const upright = this.canvas.clientHeight > this.canvas.clientWidth;
        Object.assign(this.view, upright ? { yaw: .55, pitch: .8 } : { yaw: .85, pitch: .36 });
        this.arrange((layer) => layer.aim);
        this.fit(all ? this.solids : this.solids.filter(({ level }) => level < 24), moved);
    }

    /** Moves the camera, at once where no motion is wanted. */
    fly(to, moved = true) {
        this.flight = null;
        if (!moved || still.matches || !this.shown) {
            Object.assign(this.view, to);
            this.change();
            return;
        }
        const from = { ...this.view };
        const flight = this.flight = { begun: null };
        const step = (now) => {
            if (this.flight !== flight) {
                return;
            }
            flight.begun ??= now;
            const passed = Math.min(1, (now - flight.begun) / 450);
            const way = passed * passed * (3 - 2 * passed);
            for (const [key, aim] of Object.entries(to)) {
                this.view[key] = key === "target" ? aim.map((value, axis) => between(from.target[axis], value, way))
                    : between(from[key], aim, way);
            }
            this.change();
            if (passed < 1) {
                requestAnimationFrame(step);
            } else {
                this.flight = null;
                // It is told of where it lies now.
                if (pointed && pointed.layer === this.kept?.layer && pointed.map === this.kept.map) {
                    this.pointKept();
                }
            }
        };
        requestAnimationFrame(step);
    }

    /** Brings a layer into sight as it will be when it has opened or closed. */
    reveal(layer) {
        this.arrange((each) => each.aim);
        const [solid, camera] = [this.solids[layer.place], this.camera()];
        const inside = this.corners(solid).every((corner) => {
            const [x, y] = this.project(corner, camera);
            return x >= 0 && x <= camera.width && y >= 0 && y <= camera.height;
        });
        if (!inside) {
            this.fit([solid], true, layer.aim === 1 ? 1.3 : 4);
        }
    }

    /** Opens or closes a layer. */
    turn(layer) {
        if (layer.single || !layer.canvas || (layer.aim === 1 && !layer.closable)) {
            return;
        }
        layer.toggle();
        this.reveal(layer);
        this.keep(layer, null);
    }

    /** Chooses a layer, or one of its maps, and tells of it. */
    keep(layer, map) {
        this.kept = { layer, map };
        this.pointKept();
        this.change();
    }

    pointKept() {
        if (!this.kept) {
            unpoint();
            return;
        }
        const { layer, map } = this.kept;
        const solid = this.solids[layer.place];
        this.arrange();
        const bounds = this.canvas.getBoundingClientRect();
        const [x, y] = this.project(plus(solid.middle, map === null ? [0, -solid.size[1] / 2, 0] : this.offset(solid, map)), this.camera());
        layer.point(map, { clientX: bounds.left + (x || 0), clientY: bounds.top + (y || 0) });
    }

    /** Where a map of a layer lies from its middle: in the stack where it is closed, in the grid where it is open. */
    offset({ layer, flat, grid, scaled, scale, thick, way }, map) {
        const [column, row] = [Math.floor(map / layer.rows), map % layer.rows];
        const along = layer.maps > 1 ? map / (layer.maps - 1) - .5 : 0;
        const [z, y] = [column, row].map((at, i) => (at * 1.5 + .5) * flat[i] * scale - grid[i] / 2);
        return [along * thick * (1 - way), -y * way, z * way];
    }

    /** The texture of the sheet of an open layer, or of what a closed one shows; it is made again where that has changed. */
    texture(solid, key) {
        const { gl } = this;
        const { layer } = solid;
        const source = key === "opened" ? layer.picture : layer.image;
        const ready = source && (!(source instanceof HTMLImageElement) || (source.complete && source.naturalWidth > 0));
        const stamp = key === "opened" ? source : layer.stamp;
        const held = solid[key];
        if (held && (!ready || (held.stamp === stamp && held.source === source))) {
            return held.made;
        }
        if (source && !ready) {
            source.addEventListener("load", () => this.change(), { once: true });
        }
        const made = held?.made ?? gl.createTexture();
        gl.bindTexture(gl.TEXTURE_2D, made);
        if (!ready) {
            gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 1, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE,
                new Uint8Array([...parts(layer.faint).map((part) => part * 255), 255]));
        } else {
            const [width, height] = [source.naturalWidth ?? source.width, source.naturalHeight ?? source.height];
            const shrunk = Math.min(1, gl.getParameter(gl.MAX_TEXTURE_SIZE) / Math.max(width, height));
            let pixels = source;
            if (shrunk < 1) {
                pixels = document.createElement("canvas");
                [pixels.width, pixels.height] = [width, height].map((extent) => Math.max(1, Math.floor(extent * shrunk)));
                pixels.getContext("2d").drawImage(source, 0, 0, pixels.width, pixels.height);
            }
            gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
            gl.generateMipmap(gl.TEXTURE_2D);
        }
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, ready ? gl.LINEAR_MIPMAP_LINEAR : gl.NEAREST);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_S, gl.CLAMP_TO_EDGE);
        gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_WRAP_T, gl.CLAMP_TO_EDGE);
        if (ready || !held) {
            solid[key] = { made, source: ready ? source : null, stamp };
        }
        return made;
    }

    /** How a map is marked: 0 not, 1 as one that the chosen one is made of, 2 as the chosen one. `null` is a whole layer. */
    marked(layer, map) {
        if (pointed?.layer === layer && (pointed.map === map || map === null)) {
            return 2;
        }
        return layer.lit && (map === null || layer.lit === "all" || (map >= layer.lit[0] && map < layer.lit[1])) ? 1 : 0;
    }

    draw() {
        const { gl, canvas } = this;
        if (!this.shown || gl.isContextLost()) {
            return;
        }
        const dense = Math.min(devicePixelRatio || 1, 2);
        const [width, height] = [canvas.clientWidth, canvas.clientHeight].map((extent) => Math.max(1, Math.round(extent * dense)));
        if (canvas.width !== width || canvas.height !== height) {
            [canvas.width, canvas.height] = [width, height];
        }
        this.arrange();
        const camera = this.camera();
        const { right, up, ahead, eye, lens } = camera;
        const style = getComputedStyle(document.body);
        const [edge, accent] = ["--edge", "--accent"].map((name) => parts(style.getPropertyValue(name).trim()));
        const common = { axes: [...right, ...up, ...ahead], eye,
            lens: [...lens, (FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)] };
        gl.viewport(0, 0, width, height);
        gl.clearColor(0, 0, 0, 0);
        gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
        gl.enable(gl.DEPTH_TEST);
        this.visible.clear();
        for (const solid of this.solids) {
            const { layer } = solid;
            const corners = this.corners(solid).map((corner) => this.project(corner, camera));
            const spans = [0, 1].map((axis) => corners.map((corner) => corner[axis]));
            const out = (all, most) => all.every((at) => !(at >= 0)) || all.every((at) => !(at <= most));
            solid.seen = !out(spans[0], camera.width) && !out(spans[1], camera.height);
            if (!solid.seen) {
                continue;
            }
            this.visible.add(layer);
            layer.refresh();
            const open = solid.way > 0;
            if (open) {
                layer.fetch();
            } else if (solid.opened) {
                gl.deleteTexture(solid.opened.made);
                solid.opened = null;
            }
            const texture = this.texture(solid, open ? "opened" : "closed");
            const held = open && solid.opened.source;
            const sheet = held ? [layer.sheet * layer.width, Math.ceil(layer.maps / layer.sheet) * layer.slices * layer.height] : [1, 1];
            this.slabs.use({ ...common, middle: solid.middle, color: parts(layer.color), accent, pink: PINK,
                size: open ? [.3, solid.flat[1] * solid.scaled, solid.flat[0] * solid.scaled] : solid.size,
                extent: held ? [layer.width / sheet[0], layer.height / sheet[1]] : [1, 1] });
            gl.bindTexture(gl.TEXTURE_2D, texture);
            const instances = [];
            if (open) {
                for (let map = 0; map < layer.maps; map++) {
                    const [x, y] = held ? layer.origin(map, layer.slice) : [0, 0];
                    instances.push(...this.offset(solid, map), x / sheet[0], y / sheet[1], this.marked(layer, map));
                }
            } else {
                instances.push(0, 0, 0, 0, 0, this.marked(layer, null));
            }
            this.slabs.draw(instances);
        }
        this.lines.use({ ...common, window: [width, height] });
        this.lines.draw(this.joins(edge, 1.4 * dense));
        const chosen = this.chosen(accent, 1.6 * dense);
        if (chosen.length > 0) {
            gl.disable(gl.DEPTH_TEST);
            this.lines.draw(chosen);
        }
        this.write(camera);
        this.drawStrip();
    }

    /** The lines from each layer to those that read it, around the layers between them. */
    joins(color, thick) {
        const lines = [];
        for (const solid of this.solids) {
            for (const place of solid.layer.inputs) {
                const source = this.solids[place];
                const from = plus(source.middle, [source.size[0] / 2, 0, 0]);
                const to = plus(solid.middle, [-solid.size[0] / 2, 0, 0]);
                const over = solid.level - source.level - 1;
                const rise = over > 0 ? SIDE * (.9 + .12 * Math.min(over, 12)) : 0;
                const steps = over > 0 ? 16 : 1;
                const at = (way) => from.map((value, axis) => between(value, to[axis], way) + (axis === 1 ? rise * 4 * way * (1 - way) : 0));
                for (let step = 0; step < steps; step++) {
                    lines.push(...at(step / steps), ...at((step + 1) / steps), ...color, thick);
                }
            }
        }
        return lines;
    }

    /** The lines from the chosen map to those that it is made of. */
    chosen(color, thick) {
        if (!pointed || !model.relations) {
            return [];
        }
        const { layer, map } = pointed;
        const solid = this.solids[layer.place];
        const place = (one, number) => plus(one.middle, number === null || one.way === 0 ? [0, 0, 0] : this.offset(one, number));
        const lines = [];
        layer.inputs.forEach((input, number) => {
            const source = this.solids[input];
            const [from, to] = layer.feeding(map, number);
            for (let each = from; each < (source.way === 0 ? Math.min(to, from + 1) : to); each++) {
                lines.push(...place(source, each), ...place(solid, map), ...color, thick);
            }
        });
        return lines;
    }

    /** Names the layers that are seen, as far as there is room. */
    write(camera) {
        const taken = [];
        const first = this.solids.filter(({ layer }) => pointed?.layer === layer || layer.lit);
        for (const solid of [...first, ...this.solids.filter((one) => !first.includes(one))]) {
            const { label, layer } = solid;
            const [x, y] = this.project(plus(solid.middle, [0, -solid.size[1] / 2 - .4, solid.size[2] / 2]), camera);
            const open = layer.aim === 1 && !layer.single && layer.closable;
            const text = open ? `${layer.name} ✕` : layer.name;
            if (label.textContent !== text) {
                label.textContent = text;
                label.title = open ? "Close" : "";
                solid.wide = 0;
            }
            label.hidden = !solid.seen || !(x >= 0);
            if (label.hidden) {
                continue;
            }
            solid.wide ||= label.offsetWidth;
            const box = [x - solid.wide / 2 - 4, y, x + solid.wide / 2 + 4, y + 24];
            label.hidden = taken.some((other) => box[0] < other[2] && other[0] < box[2] && box[1] < other[3] && other[1] < box[3]);
            if (!label.hidden) {
                taken.push(box);
                label.style.transform = `translate(${x - solid.wide / 2}px, ${y}px)`;
            }
        }
    }

    /** All layers as bars, with those in sight framed. */
    drawStrip() {
        const { strip } = this;
        const dense = Math.min(devicePixelRatio || 1, 2);
        const [width, height] = [strip.clientWidth * dense, strip.clientHeight * dense].map(Math.round);
        Object.assign(strip, { width, height });
        const context = strip.getContext("2d");
        const each = width / Math.max(1, this.levels.length);
        for (const { layer, level, flat } of this.solids) {
            const high = height * .8 * Math.max(.2, flat[1] / SIDE);
            context.globalAlpha = this.marked(layer, null) > 0 ? 1 : .75;
            context.fillStyle = layer.color;
            context.fillRect(level * each + each * .15, (height - high) / 2, Math.max(1, each * .7), high);
        }
        const levels = this.solids.filter(({ seen }) => seen).map(({ level }) => level);
        if (levels.length > 0) {
            const [from, to] = [Math.min(...levels), Math.max(...levels) + 1];
            context.globalAlpha = 1;
            context.lineWidth = 2 * dense;
            context.strokeStyle = getComputedStyle(document.body).getPropertyValue("--accent");
            context.strokeRect(from * each + dense, dense, (to - from) * each - 2 * dense, height - 2 * dense);
        }
    }

    /** The layer and the map under the pointer; of a closed layer no map. */
    hit(event) {
        const bounds = this.canvas.getBoundingClientRect();
        const { right, up, ahead, eye, lens, width, height } = this.camera();
        const x = ((event.clientX - bounds.left) / width * 2 - 1) / lens[0];
        const y = (1 - (event.clientY - bounds.top) / height * 2) / lens[1];
        const ray = plus(plus(ahead, right, x), up, y);
        this.arrange();
        let found = null;
        for (const solid of this.solids) {
            // Where the ray is between the two sides of each axis.
            const spans = [0, 1, 2].map((axis) => [-1, 1].map((side) =>
                (solid.middle[axis] + side * solid.size[axis] / 2 - eye[axis]) / (ray[axis] || 1e-9)).sort((a, b) => a - b));
            const [into, out] = [Math.max(...spans.map(([from]) => from)), Math.min(...spans.map(([, to]) => to))];
            if (into > out || into < NEAR || (found && found.into < into)) {
                continue;
            }
            let map = null;
            if (solid.way > 0) {
                const at = plus(plus(eye, ray, into), solid.middle, -1);
                const [column, row] = [at[2] + solid.grid[0] / 2, solid.grid[1] / 2 - at[1]].map((from, i) => from / (solid.flat[i] * solid.scale * 1.5));
                map = Math.floor(column) * solid.layer.rows + Math.floor(row);
                if (solid.way < 1 || column % 1 > 2 / 3 || row % 1 > 2 / 3 || Math.floor(row) >= solid.layer.rows || !(map >= 0 && map < solid.layer.maps)) {
                    continue;
                }
            }
            found = { layer: solid.layer, map, into };
        }
        return found;
    }

    /** Turns by so many pixels. */
    orbit(x, y) {
        this.flight = null;
        this.view.yaw += x * .007;
        this.view.pitch = Math.max(-1.45, Math.min(1.45, this.view.pitch + y * .007));
        this.change();
    }

    /** Moves along the window by so many pixels. */
    pan(x, y) {
        this.flight = null;
        const { right, up, lens, width } = this.camera();
        const each = 2 * this.view.distance / (width * lens[0]);
        this.view.target = plus(plus(this.view.target, right, -x * each), up, y * each);
        this.change();
    }

    zoom(times) {
        this.flight = null;
        this.view.distance = Math.max(4, Math.min(FAR / 4, this.view.distance * times));
        this.change();
    }

    listen() {
        const { canvas, held } = this;
        let moved = 0;
        canvas.addEventListener("pointerdown", (event) => {
            canvas.setPointerCapture(event.pointerId);
            canvas.focus({ preventScroll: true });
            held.set(event.pointerId, [event.clientX, event.clientY]);
            moved = held.size > 1 ? Infinity : 0;
        });
        canvas.addEventListener("pointermove", (event) => {
            const before = held.get(event.pointerId);
            if (!before) {
                const found = event.pointerType === "touch" ? null : this.hit(event);
                canvas.style.cursor = found ? "pointer" : "";
                if (found) {
                    found.layer.point(found.map, event);
                } else {
                    this.pointKept();
                }
                return;
            }
            const now = [event.clientX, event.clientY];
            const [x, y] = [now[0] - before[0], now[1] - before[1]];
            moved += Math.hypot(x, y);
            if (moved < 5) {
                return;
            }
            told.hidden = true;
            held.set(event.pointerId, now);
            if (held.size === 2) {
                const other = [...held].find(([id]) => id !== event.pointerId)[1];
                const apart = (at) => Math.max(1, Math.hypot(at[0] - other[0], at[1] - other[1]));
                this.zoom(apart(before) / apart(now));
                this.pan(x / 2, y / 2);
            } else if (event.shiftKey || event.buttons !== 1) {
                this.pan(x, y);
            } else {
                this.orbit(x, y);
            }
        });
        const end = (event) => {
            held.delete(event.pointerId);
            if (event.type !== "pointerup" || moved >= 5 || event.button !== 0) {
                return;
            }
            const found = this.hit(event);
            if (!found) {
                this.kept = null;
                unpoint();
                this.change();
            } else if (found.map === null && !found.layer.single && found.layer.canvas && found.layer.aim === 0) {
                this.turn(found.layer);
            } else {
                this.keep(found.layer, found.map);
            }
        };
        canvas.addEventListener("pointerup", end);
        canvas.addEventListener("pointercancel", end);
        canvas.addEventListener("pointerleave", () => held.size > 0 || this.pointKept());
        canvas.addEventListener("contextmenu", (event) => event.preventDefault());
        canvas.addEventListener("wheel", (event) => {
            // Without the focus it is the page that scrolls.
            if (event.ctrlKey || document.activeElement === canvas) {
                event.preventDefault();
                this.zoom(Math.exp(event.deltaY * (event.ctrlKey ? .01 : .0015)));
            }
        }, { passive: false });
        canvas.addEventListener("dblclick", () => {
            if (this.kept && (this.kept.map !== null || this.kept.layer.single)) {
                this.enlarge();
            }
        });
        canvas.addEventListener("keydown", (event) => this.press(event));
        canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && layers.length > 0
            && this.keep(this.kept?.layer ?? layers[0], this.kept?.map ?? null));
        canvas.addEventListener("blur", () => { told.hidden = true; });
        addEventListener("scroll", () => this.shown && !told.hidden && this.pointKept(), { passive: true });
        const travel = (event) => {
            if (event.buttons === 1) {
                const level = Math.floor(event.offsetX / this.strip.clientWidth * this.levels.length);
                this.arrange((layer) => layer.aim);
                const solid = this.levels[Math.max(0, Math.min(this.levels.length - 1, level))]?.[0];
                this.fly({ target: [...solid.middle], distance: Math.min(this.view.distance, 200) }, event.type === "pointerdown");
            }
        };
        this.strip.addEventListener("pointerdown", travel);
        this.strip.addEventListener("pointermove", travel);
        for (const [id, act] of [["all", () => this.overview(true, true)], ["nearer", () => this.zoom(1 / 1.3)], ["farther", () => this.zoom(1.3)],
            ["enlarge", () => this.enlarge()]]) {
            document.getElementById(`scene-${id}`).addEventListener("click", act);
        }
    }

    /** Shows the chosen map, or the first of the chosen layer, by itself. */
    enlarge() {
        if (this.kept) {
            enlarged.open(this.kept.layer, this.kept.map);
        }
    }

    /** What a key does. */
    press(event) {
        const { layer, map } = this.kept ?? { layer: layers[0], map: null };
        const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (event.ctrlKey || event.metaKey || event.altKey || !layer) {
            return;
        }
        if (step && event.shiftKey) {
            this.orbit(step[0] * 22, step[1] * 22);
        } else if (step && step[0] !== 0) {
            const next = layers[layer.place + step[0]];
            if (next) {
                this.reveal(next);
                this.keep(next, null);
            }
        } else if (step) {
            if (layer.aim === 1 && !layer.single) {
                this.keep(layer, map === null ? 0 : Math.max(0, Math.min(layer.maps - 1, map + step[1])));
            }
        } else if (event.key === "Enter") {
            this.turn(layer);
        } else if (event.key === " ") {
            this.enlarge();
        } else if (event.key === "+" || event.key === "=") {
            this.zoom(1 / 1.3);
        } else if (event.key === "-") {
            this.zoom(1.3);
        } else if (event.key === "Home") {
            this.overview(true, true);
        } else if (event.key === "Escape") {
            this.kept = null;
            unpoint();
        } else {
            return;
        }
        event.preventDefault();
    }
}

scene = new Scene();
