/* ProcessPrng for Wine 8: Rust's standard library imports this function from bcryptprimitives.dll, which Wine has only
 * since version 9. Windows has had it since Windows 10. The tests under Wine need it; nothing that is shipped does.
 *
 * x86_64-w64-mingw32-gcc -shared -o bcryptprimitives.dll bcryptprimitives.c -ladvapi32
 */
#include <windows.h>
#include <ntsecapi.h>

__declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE data, SIZE_T length) {
    return RtlGenRandom(data, (ULONG)length);
}
