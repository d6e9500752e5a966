// A map by itself, as large as there is room, with the value at the pointer or at a place that the arrow keys choose.

class Enlarged {
    constructor() {
        this.dialog = document.getElementById("enlarged");
        [this.name, this.canvas, this.value, this.legend] = ["h2", "canvas", "[role=status]", ".kind"]
            .map((selector) => this.dialog.querySelector(selector));
        [this.map, this.slice] = ["map", "slice"].map((name) => document.getElementById(`enlarged-${name}`));
        this.pixels = document.createElement("canvas");
        this.canvas.addEventListener("pointermove", (event) => {
            const [x, y] = [event.offsetX / this.canvas.clientWidth, event.offsetY / this.canvas.clientHeight];
            this.go(Math.floor(y * this.layer.height), Math.floor(x * this.layer.width));
        });
        this.canvas.addEventListener("keydown", (event) => {
            const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
            if (step) {
                event.preventDefault();
                this.go(this.at[0] + step[0], this.at[1] + step[1]);
            }
        });
        this.map.addEventListener("input", () => this.read());
        this.slice.addEventListener("input", async () => {
            await this.layer.cut(Number(this.slice.value));
            this.read();
        });
        this.dialog.querySelector("button").addEventListener("click", () => this.dialog.close());
        addEventListener("resize", () => this.dialog.open && this.draw());
    }

    /** Shows a map of a layer; the first where `map` is null. */
    async open(layer, map) {
        if (!layer.image || !(layer.values || layer.ranges)) {
            return;
        }
        unpoint();
        Object.assign(this, { layer, at: [layer.height >> 1, layer.width >> 1] });
        for (const [slider, count, value] of [[this.map, layer.maps, map ?? 0], [this.slice, layer.slices, layer.slice]]) {
            Object.assign(slider, { max: count - 1, value });
            slider.parentElement.hidden = count === 1;
        }
        this.dialog.showModal();
        await this.read();
        this.canvas.focus();
    }

    /** Shows what a layer makes now. */
    follow(layer) {
        if (this.dialog.open && this.layer === layer) {
            this.read();
        }
    }

    /** Takes in the chosen map: of a page that computes its values, and else its colours. */
    async read() {
        const { layer, pixels } = this;
        const { width, height } = layer;
        const map = Number(this.map.value);
        let source = layer.image;
        if (!layer.values && !layer.single) {
            source = new Image();
            source.src = layer.address();
            await source.decode();
        }
        if (layer !== this.layer || map !== Number(this.map.value)) {
            return;
        }
        Object.assign(pixels, { width, height });
        const context = pixels.getContext("2d", { willReadFrequently: true });
        if (layer.values) {
            const data = new ImageData(width, height);
            const [start, area] = [layer.slice * width * height, width * height];
            layer.paint(data.data, width, 0, 0, layer.values.subarray(start * layer.maps, (start + area) * layer.maps), map, layer.maps,
                ...layer.bounds[map]);
            context.putImageData(data, 0, 0);
        } else {
            context.drawImage(source, ...(layer.single ? [0, 0] : layer.origin(map, layer.slice)), width, height, 0, 0, width, height);
        }
        this.colors = context.getImageData(0, 0, width, height).data;
        const range = layer.ranges[map];
        this.name.textContent = `${layer.name}${layer.single ? "" : ` · map ${map} of ${layer.maps}`}`;
        this.map.setAttribute("aria-valuetext", `map ${map} of ${layer.maps}`);
        this.slice.setAttribute("aria-valuetext", `slice ${layer.slice} of ${layer.slices}`);
        const ramp = document.createElement("span");
        ramp.className = "ramp";
        ramp.style.cssText = `--faint: ${layer.faint}; --full: ${layer.color}`;
        this.legend.replaceChildren(...range ? [`${range[0]} `, ramp, ` ${range[1]}`] : ["no finite value"], "; magenta is NaN or infinite");
        this.draw();
        this.go(...this.at);
    }

    /** What a place holds, in words. A page that does not compute knows it as exactly as it has shades. */
    told(row, column) {
        const { layer } = this;
        const [map, place] = [Number(this.map.value), (layer.slice * layer.height + row) * layer.width + column];
        if (layer.units && place >= layer.units) {
            return "no value";
        }
        if (layer.values) {
            return String(Number(layer.values[place * layer.maps + map].toPrecision(7)));
        }
        const color = this.colors.subarray(4 * (row * layer.width + column));
        if (!layer.ranges[map] || (color[0] === 255 && color[1] === 0 && color[2] === 255)) {
            return "NaN or infinite";
        }
        const [faint, full] = [layer.faint, layer.color].map((text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
        const [least, most] = layer.ranges[map].map(Number);
        const way = full.map((value, i) => value - faint[i]);
        const long = way.reduce((sum, value) => sum + value * value, 0) || 1;
        const part = way.reduce((sum, value, i) => sum + value * (color[i] - faint[i]), 0) / long;
        const half = (most - least) / ((layer.single ? 64 : model.shades) - 1) / 2;
        return half > 0 ? `${short(least + (most - least) * Math.max(0, Math.min(1, part)))} ± ${Number(half.toPrecision(2))}` : short(least);
    }

    /** Marks a place and tells its value. */
    go(row, column) {
        const { height, width } = this.layer;
        this.at = [Math.max(0, Math.min(height - 1, row)), Math.max(0, Math.min(width - 1, column))];
        const places = [height > 1 ? `row ${this.at[0]}` : "", `column ${this.at[1]}`].filter((place) => place).join(", ");
        this.value.textContent = `${places}: ${this.told(...this.at)}`;
        this.draw();
    }

    draw() {
        const { canvas, layer, pixels } = this;
        const dense = Math.min(devicePixelRatio || 1, 2);
        const scale = whole(Math.min((Math.min(innerWidth, 760) - 80) / layer.width, Math.max(120, innerHeight - 330) / layer.high, 64));
        const size = [layer.width, layer.high].map((extent) => Math.max(1, Math.round(extent * scale)));
        Object.assign(canvas.style, { width: `${size[0]}px`, height: `${size[1]}px` });
        [canvas.width, canvas.height] = size.map((extent) => Math.round(extent * dense));
        const context = canvas.getContext("2d");
        context.imageSmoothingEnabled = scale < 1;
        context.drawImage(pixels, 0, 0, canvas.width, canvas.height);
        const [x, y] = [canvas.width / layer.width, canvas.height / layer.height];
        context.lineWidth = 2 * dense;
        context.strokeStyle = "#ff4fa3";
        context.strokeRect(this.at[1] * x, this.at[0] * y, Math.max(x, 3), Math.max(y, 3));
    }
}

const enlarged = new Enlarged();
