// Package surfacetest knows how a swap chain, and a relay, must behave towards its
// consumer: one suite for every platform's surfaces and every way their handles
// travel. It must never know how either is made.
package surfacetest
