// Emulates AMX for the tests on processors without it: a library to preload that executes the instructions when the
// processor refuses them (SIGILL), as Intel's manual describes them, and counts them. Only what the kernels use, and with
// all checks of the manual.
//
//     gcc -O3 -mfma -mavx2 -shared -fPIC -o emulator.so emulator.c

#define _GNU_SOURCE
#include <dlfcn.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

struct configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t bytes_per_row[16];
    uint8_t rows[16];
};

// The state of each thread.
static __thread int is_configured;
static __thread struct configuration configuration;
static __thread uint8_t tiles[8][16][64] __attribute__((aligned(64)));

static long configured, loaded, stored, multiplied;

static void refuse(const char *why, const uint8_t *at) {
    fprintf(stderr, "emulator of AMX: %s: %02x %02x %02x %02x %02x %02x\n", why, at[0], at[1], at[2], at[3], at[4], at[5]);
    abort();
}

// Zero instead of a denormal number.
static inline float normal(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (bits & 0x7f800000) return value;
    bits &= 0x80000000;
    memcpy(&value, &bits, 4);
    return value;
}

static inline float bf16(uint16_t half) {
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, 4);
    return normal(value);
}

static void configure(const void *from, const uint8_t *at) {
    memcpy(&configuration, from, sizeof configuration);
    if (configuration.palette != 1 || configuration.start_row != 0) refuse("palette", at);
    for (int i = 0; i < 14; i++)
        if (configuration.reserved[i]) refuse("reserved bytes", at);
    for (int i = 0; i < 16; i++) {
        int bytes = configuration.bytes_per_row[i], rows = configuration.rows[i];
        if (i < 8 ? bytes > 64 || rows > 16 : bytes || rows) refuse("sizes", at);
    }
    memset(tiles, 0, sizeof tiles);
    is_configured = 1;
    configured++;
}

// TDPBF16PS: even and odd elements are summed apart.
static void multiply(int sums, int a, int b, const uint8_t *at) {
    if (sums == a || sums == b || a == b) refuse("equal registers", at);
    struct configuration *c = &configuration;
    if (c->bytes_per_row[sums] != c->bytes_per_row[b] || c->rows[sums] != c->rows[a] || c->rows[b] * 4 != c->bytes_per_row[a])
        refuse("sizes of a product", at);
    int columns = c->bytes_per_row[sums] / 4, steps = c->bytes_per_row[a] / 4;
    for (int row = 0; row < c->rows[sums]; row++) {
        float even[16] = {0}, odd[16] = {0}, *to = (float *)tiles[sums][row];
        const uint16_t *factors = (const uint16_t *)tiles[a][row];
        for (int step = 0; step < steps; step++) {
            const uint16_t *pairs = (const uint16_t *)tiles[b][step];
            for (int i = 0; i < columns; i++) {
                even[i] = normal(fmaf(bf16(factors[2 * step]), bf16(pairs[2 * i]), even[i]));
                odd[i] = normal(fmaf(bf16(factors[2 * step + 1]), bf16(pairs[2 * i + 1]), odd[i]));
            }
        }
        for (int i = 0; i < columns; i++) to[i] = normal(normal(to[i]) + normal(even[i] + odd[i]));
    }
    multiplied++;
}

static const int general[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};

// Decodes an instruction with a VEX prefix of three bytes, executes it, and goes on behind it.
static void execute(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint8_t *at = (uint8_t *)registers[REG_RIP];
    if (at[0] != 0xc4 || (at[1] & 31) != 2 || at[2] & 0x84) refuse("another instruction", at);
    int r = !(at[1] & 0x80), x = !(at[1] & 0x40), b = !(at[1] & 0x20), second = (~at[2] >> 3) & 15, prefix = at[2] & 3;
    int opcode = at[3], mode = at[4] >> 6, reg = (at[4] >> 3 & 7) | r << 3, rm = at[4] & 7, length = 5;
    uint8_t *address = 0;
    uint64_t stride = 0;
    if (mode != 3) {
        int base = rm;
        if (rm == 4) {
            int scaled = at[length++], index = (scaled >> 3 & 7) | x << 3;
            base = scaled & 7;
            if (index != 4) stride = (uint64_t)registers[general[index]] << (scaled >> 6);
            if (mode == 0 && base == 5) refuse("an address without a base", at);
        } else if (mode == 0 && rm == 5) {
            refuse("an address relative to the instruction", at);
        }
        address = (uint8_t *)registers[general[base | b << 3]];
        if (mode == 1) address += (int8_t)at[length], length += 1;
        if (mode == 2) address += *(int32_t *)(at + length), length += 4;
    }
    if (opcode == 0x49 && prefix == 0 && mode != 3) {
        configure(address, at);
    } else if (!is_configured) {
        refuse("the registers are not configured", at);
    } else if (opcode == 0x49 && prefix == 0 && at[4] == 0xc0) {
        is_configured = 0;
    } else if (opcode == 0x49 && prefix == 3 && mode == 3) {
        memset(tiles[reg], 0, sizeof tiles[reg]);
    } else if (opcode == 0x4b && prefix == 3 && mode != 3 && rm == 4) {
        memset(tiles[reg], 0, sizeof tiles[reg]);
        for (int row = 0; row < configuration.rows[reg]; row++)
            memcpy(tiles[reg][row], address + row * stride, configuration.bytes_per_row[reg]);
        loaded++;
    } else if (opcode == 0x4b && prefix == 2 && mode != 3 && rm == 4) {
        for (int row = 0; row < configuration.rows[reg]; row++)
            memcpy(address + row * stride, tiles[reg][row], configuration.bytes_per_row[reg]);
        stored++;
    } else if (opcode == 0x5c && prefix == 2 && mode == 3) {
        multiply(reg, rm | b << 3, second, at);
    } else {
        refuse("another instruction", at);
    }
    registers[REG_RIP] += length;
}

__attribute__((constructor)) static void begin(void) {
    struct sigaction action = {.sa_sigaction = execute, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGILL, &action, 0);
}

__attribute__((destructor)) static void end(void) {
    if (configured)
        fprintf(stderr, "emulated: %ld products of registers, %ld loads, %ld stores\n", multiplied, loaded, stored);
}

// Gives the permission to use the registers, which the kernel refuses.
long syscall(long number, ...) {
    va_list list;
    long arguments[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++) arguments[i] = va_arg(list, long);
    va_end(list);
    if (number == 158 && arguments[0] == 0x1023) return arguments[1] == 18 ? 0 : -1;
    long (*real)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return real(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
}
