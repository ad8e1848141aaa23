var app = WebApplication.CreateBuilder(args).Build();
var items = app.MapGroup("/items");
items.MapGet("/{id}", Items.Find);
app.MapPost("/ping", async () => await Task.Delay(10));
app.Run();

public static class Items
{
    public static Item Find(int id)
    {
        Thread.Sleep(5);
        return new Item(id);
    }
}
